"""Removing what a schema does not know, and filling in what it says by default. Pure; values are changed in place.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#field-pruning and
#defaulting-and-nullable: nulls of fields that are not nullable go before defaults come.
"""

from __future__ import annotations

from typing import Any

import orjson

Node = dict[str, Any]

_OF_RESOURCES = frozenset(("apiVersion", "kind", "metadata"))


def prune(node: Node, obj: dict[str, Any]) -> list[str]:
    """Remove unknown fields of a whole object; their paths."""
    unknown: list[str] = []
    _prune_object(node, obj, "", unknown, resource=True)
    return unknown


def _prune(node: Node, value: Any, path: str, unknown: list[str]) -> None:
    if type(value) is dict:
        _prune_object(node, value, path, unknown, resource=bool(node.get("x-kubernetes-embedded-resource")))
    elif type(value) is list:
        items = node.get("items")
        if isinstance(items, dict):
            for index, item in enumerate(value):
                _prune(items, item, f"{path}[{index}]", unknown)


def _prune_object(node: Node, value: dict[str, Any], path: str, unknown: list[str], *, resource: bool) -> None:
    properties = node.get("properties") or {}
    others = node.get("additionalProperties")
    keeps = bool(node.get("x-kubernetes-preserve-unknown-fields")) or others is True
    gone = []
    for key, item in value.items():
        if resource and key in _OF_RESOURCES:
            continue
        child = properties.get(key)
        if child is None and isinstance(others, dict):
            child = others
        where = f"{path}.{key}" if path else key
        if child is not None:
            _prune(child, item, where, unknown)
        elif not keeps:
            gone.append(key)
            unknown.append(where)
    for key in gone:
        del value[key]


def default(node: Node, value: Any) -> None:
    """Take away nulls that may not be, then fill in defaults, from the outside in."""
    if type(value) is dict:
        _default_object(node, value)
    elif type(value) is list and isinstance(items := node.get("items"), dict):
        for index, item in enumerate(value):
            if item is None and not items.get("nullable") and "default" in items:
                value[index] = _copy(items["default"])
            default(items, value[index])


def _default_object(node: Node, value: dict[str, Any]) -> None:
    properties = node.get("properties") or {}
    others = node.get("additionalProperties")
    for key, child in properties.items():
        if key in value and value[key] is None and not child.get("nullable"):
            del value[key]
        if key not in value and child.get("default") is not None:
            value[key] = _copy(child["default"])
    for key in list(value):
        child = properties.get(key, others)
        if isinstance(child, dict):
            if value[key] is None and not child.get("nullable") and key not in properties:
                if "default" not in child:
                    del value[key]
                    continue
                value[key] = _copy(child["default"])
            default(child, value[key])


def _copy(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value))
