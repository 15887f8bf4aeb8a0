"""Custom kinds in the OpenAPI v2 document, which says less than their schemas do."""

from __future__ import annotations

from typing import Any

import orjson

from .. import openapi
from .openapi import definitions, plain
from .resource import CustomResource

Node = dict[str, Any]

_DROPPED = frozenset({"oneOf", "anyOf", "allOf", "not", "nullable", "x-kubernetes-validations"})
"""What Swagger 2.0 has no word for, or its clients do not understand."""
_GVK = "x-kubernetes-group-version-kind"
_CONTENTS = frozenset({"properties", "items", "additionalProperties"})


def document(resources: tuple[CustomResource, ...]) -> Node:
    """The built-in document with these kinds in it. Takes some 100 ms: not for the event loop."""
    base: Node = orjson.loads(openapi.v2())
    for resource in resources:
        base["paths"].update({path: openapi.swagger_path(found) for path, found in openapi.paths(resource).items()})
        for name, node in definitions(resource).items():
            base["definitions"][name] = openapi.swagger_references(kind(node))
    return base


def kind(node: Node) -> Node:
    """A whole kind. One that keeps what it does not know is any object: of a kind with properties of its own, kubectl
    would refuse all others."""
    if node.get("x-kubernetes-preserve-unknown-fields"):
        return {"type": "object", **{key: value for key, value in node.items() if key == _GVK}}
    return schema(node)


def schema(node: Node) -> Node:
    """A schema of OpenAPI v3 as far as v2 can say it; metadata's reference stays."""
    if "allOf" in node and all("$ref" in each for each in node["allOf"]):
        return plain(node)
    made = {key: value for key, value in node.items() if key not in _DROPPED}
    if node.get("nullable") or node.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    if node.get("nullable") or node.get("x-kubernetes-preserve-unknown-fields"):
        made = {key: value for key, value in made.items() if key not in _CONTENTS}
        if made.get("type") in ("object", "array"):  # kubectl takes those without contents for ones that have none
            del made["type"]
    if required := [name for name in made.pop("required", ()) if not _nullable(node, name)]:
        made["required"] = required
    if isinstance(properties := made.get("properties"), dict):
        made["properties"] = {name: schema(child) for name, child in properties.items()}
    for key in ("items", "additionalProperties"):
        if isinstance(child := made.get(key), dict):
            made[key] = schema(child)
    return made


def _nullable(node: Node, name: str) -> bool:
    """Whether this property may be null: kubectl takes a null for a missing one."""
    child = (node.get("properties") or {}).get(name)
    return isinstance(child, dict) and bool(child.get("nullable"))
