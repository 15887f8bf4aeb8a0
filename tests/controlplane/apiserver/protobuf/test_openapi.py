"""OpenAPI 2.0 as protobuf says what the JSON document says."""

from __future__ import annotations

from typing import Any

import orjson

from panal.controlplane.apiserver import openapi
from panal.controlplane.apiserver.protobuf import openapi as swagger
from panal.controlplane.apiserver.protobuf import wire


def read(data: bytes) -> dict[int, list[Any]]:
    """A message's values by number: integers, or bytes."""
    found: dict[int, list[Any]] = {}
    for number, kind, first, last in wire.fields(data, 0, len(data), "Document"):
        found.setdefault(number, []).append(first if kind == wire.VARINT else data[first:last])
    return found


def named(messages: list[bytes]) -> dict[str, bytes]:
    """(name, value) pairs."""
    pairs = [read(message) for message in messages]
    return {pair[1][0].decode(): pair[2][0] for pair in pairs}


def test_definitions_and_paths_are_all_there() -> None:
    json, message = orjson.loads(openapi.v2()), read(openapi.v2_protobuf())
    assert message[1] == [b"2.0"]
    definitions, paths = named(read(message[9][0])[1]), named(read(message[8][0])[2])
    assert definitions.keys() == json["definitions"].keys()
    assert paths.keys() == json["paths"].keys()


def test_a_definition_tells_its_types_and_references() -> None:
    definitions = named(read(read(openapi.v2_protobuf())[9][0])[1])
    spec = read(definitions["io.k8s.api.apps.v1.DeploymentSpec"])
    properties = named(read(spec[25][0])[1])
    assert set(spec[19]) == {b"selector", b"template"}
    assert read(read(properties["replicas"])[22][0])[1] == [b"integer"]
    assert read(properties["template"])[1] == [b"#/definitions/io.k8s.api.core.v1.PodTemplateSpec"]


def test_a_patch_can_be_validated_and_names_its_kind() -> None:
    paths = named(read(read(openapi.v2_protobuf())[8][0])[2])
    patch = read(read(paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"])[8][0])
    kind = named(patch[13])["x-kubernetes-group-version-kind"]
    assert orjson.loads(read(kind)[2][0]) == {"group": "apps", "kind": "Deployment", "version": "v1"}
    other = [read(read(read(item)[1][0])[2][0]) for item in patch[8] if 2 in read(read(item)[1][0])]
    queries = {read(item[3][0])[4][0] for item in other if 3 in item}
    assert b"fieldValidation" in queries


def test_only_who_asks_for_it_first_gets_it() -> None:
    assert swagger.accepted("application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
    assert swagger.accepted(swagger.MEDIA + ",application/json")
    assert not swagger.accepted("application/json")
    assert not swagger.accepted("")
