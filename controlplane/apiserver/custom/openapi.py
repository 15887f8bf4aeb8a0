"""OpenAPI v3 documents of custom groups, which kubectl explain reads; kept until a definition changes."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from .. import openapi
from .resource import CustomResource
from .served import Served

Node = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_KIND = "Kind is a string value representing the REST resource this object represents."
_VERSION = "APIVersion defines the versioned schema of this representation of an object."


def paths(served: Served) -> Node:
    """The entries of the index."""
    found: Node = {}
    for path in dict.fromkeys(each.root.removeprefix("/") for each in served.all()):
        tag = hashlib.sha512(document(served, path)).hexdigest().upper()
        found[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={tag}"}
    return found


def document(served: Served, path: str) -> bytes:
    """The document of one group and version. Raises KeyError where no custom resource is there."""
    key = ("openapi", path)
    if key not in served.memo:
        mine = [each for each in served.all() if each.root == f"/{path}"]
        if not mine:
            raise KeyError(path)
        served.memo[key] = orjson.dumps(_document(mine), option=orjson.OPT_SORT_KEYS)
    body: bytes = served.memo[key]
    return body


def _document(mine: list[CustomResource]) -> Node:
    base: Node = orjson.loads(openapi.v3("api/v1"))
    every = base["components"]["schemas"]
    schemas = {name: node for name, node in every.items() if name.startswith(_META)}
    found: Node = {}
    for resource in mine:
        found.update(openapi.paths(resource))
        schemas.update(definitions(resource))
    return {**base, "paths": found, "components": {"schemas": schemas}}


def definitions(resource: CustomResource) -> Node:
    """The schemas of the kind and of its list, by their names in documents."""
    reference = {"$ref": f"#/components/schemas/{resource.definition_name}"}
    listed = {
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": _VERSION},
            "kind": {"type": "string", "description": _KIND},
            "metadata": {"allOf": [{"$ref": f"#/components/schemas/{_META}ListMeta"}]},
            "items": {"type": "array", "items": reference},
        },
        "x-kubernetes-group-version-kind": [_gvk(resource, resource.list_kind)],
    }
    return {resource.definition_name: _schema(resource), f"{resource.definition_name}List": listed}


def plain(node: Node) -> Node:
    """A reference beside its description instead of in an allOf, as clients of v2 want it."""
    return {**{key: value for key, value in node.items() if key != "allOf"}, **node["allOf"][0]}


def _gvk(resource: CustomResource, kind: str) -> Node:
    return {"group": resource.group, "version": resource.version, "kind": kind}


def _schema(resource: CustomResource) -> Node:
    node = dict(resource.schema)
    node["properties"] = {
        **(node.get("properties") or {}),
        "apiVersion": {"type": "string", "description": _VERSION},
        "kind": {"type": "string", "description": _KIND},
        "metadata": {
            "description": "Standard object's metadata.",
            "allOf": [{"$ref": f"#/components/schemas/{_META}ObjectMeta"}],
        },
    }
    node["x-kubernetes-group-version-kind"] = [_gvk(resource, resource.kind)]
    return node
