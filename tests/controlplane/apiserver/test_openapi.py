"""OpenAPI: documents that are whole, and that say the same as the server does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from panal.controlplane.apiserver import openapi
from panal.controlplane.apiserver.custom import swagger
from panal.resources import DEPLOYMENTS, all_resources


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


@pytest.mark.parametrize(
    "path", ["api/v1", "apis/apps/v1", "apis/apiextensions.k8s.io/v1", "apis/networking.k8s.io/v1"]
)
def test_every_reference_of_a_document_leads_to_a_definition_of_it(path: str) -> None:
    document = orjson.loads(openapi.v3(path))
    defined = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= defined
    assert document["openapi"] == "3.0.0"


def test_the_old_document_is_whole_too() -> None:
    document = orjson.loads(openapi.v2())
    assert set(references(document)) <= {f"#/definitions/{name}" for name in document["definitions"]}
    assert document["swagger"] == "2.0"
    assert "/api/v1/namespaces/{namespace}/pods/{name}" in document["paths"]


def test_the_index_leads_to_documents_by_their_hash() -> None:
    paths = openapi.index()["paths"]
    assert set(paths) == {item.root.removeprefix("/") for item in all_resources()}
    assert paths["api/v1"]["serverRelativeURL"] == f"/openapi/v3/api/v1?hash={openapi.etag('api/v1')}"


def test_a_kind_is_found_as_kubectl_explain_looks_for_it() -> None:
    schemas = orjson.loads(openapi.v3("apis/apps/v1"))["components"]["schemas"]
    deployment = schemas["io.k8s.api.apps.v1.Deployment"]
    assert {"group": "apps", "version": "v1", "kind": "Deployment"} in deployment["x-kubernetes-group-version-kind"]
    spec = schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]
    assert spec["replicas"]["type"] == "integer"
    assert "io.k8s.api.core.v1.PodTemplateSpec" in str(spec["template"])


def test_what_a_path_offers_is_what_the_resource_can() -> None:
    paths = orjson.loads(openapi.v3("apis/apps/v1"))["paths"]
    one = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    assert {method for method in one if method != "parameters"} == {"get", "put", "patch", "delete"}
    assert one["patch"]["x-kubernetes-action"] == "patch"
    assert "application/apply-patch+yaml" in one["patch"]["requestBody"]["content"]
    assert one["get"]["x-kubernetes-group-version-kind"]["kind"] == DEPLOYMENTS.kind
    reviews = orjson.loads(openapi.v3("apis/authorization.k8s.io/v1"))["paths"]
    assert {method for found in reviews.values() for method in found if method != "parameters"} == {"post"}


def test_a_version_that_is_not_served_has_no_document() -> None:
    with pytest.raises(KeyError):
        openapi.v3("apis/nada.io/v1")


def test_a_custom_kind_that_keeps_everything_is_any_object_in_v2() -> None:
    gvk = [{"group": "example.com", "version": "v1", "kind": "Any"}]
    named = {"apiVersion": {"type": "string"}, "metadata": {"allOf": [{"$ref": "#/components/schemas/Meta"}]}}
    open_kind = {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": named,
        "x-kubernetes-group-version-kind": gvk,
    }
    assert swagger.kind(open_kind) == {"type": "object", "x-kubernetes-group-version-kind": gvk}
    closed = {"type": "object", "properties": {"spec": {"type": "string"}}, "x-kubernetes-group-version-kind": gvk}
    assert swagger.kind(closed) == closed


def test_what_old_kubectls_would_refuse_is_left_open_in_v2() -> None:
    keeps = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": {"type": "string"}}}
    maybe = {"type": "string", "nullable": True}
    made = swagger.schema(
        {"type": "object", "required": ["maybe", "sure"], "properties": {"open": keeps, "maybe": maybe}}
    )
    assert made["properties"] == {"open": {"x-kubernetes-preserve-unknown-fields": True}, "maybe": {}}
    assert made["required"] == ["sure"]
