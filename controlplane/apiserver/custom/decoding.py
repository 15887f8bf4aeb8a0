"""Reading a custom object: its metadata as of any kind, the rest pruned by its schema; unknown fields are reported."""

from __future__ import annotations

from typing import Any

from .. import decode as builtin
from ..schema import schema
from . import pruning
from .resource import CustomResource

Object = dict[str, Any]


def decode(resource: CustomResource, obj: Object, field_validation: str, complete: bool) -> list[str]:
    """`decode.decode` for custom resources."""
    if obj.get("metadata") is None:
        obj["metadata"] = {}
    try:
        unknown = _metadata(obj, "metadata", complete)
        unknown += pruning.prune(resource.schema, obj)
        _embedded(resource.schema, obj, "", complete, unknown)
    except builtin.Mismatch as mismatch:
        raise builtin.Unreadable(resource, mismatch.words()) from None
    except RecursionError:
        raise builtin.Unreadable(resource, "exceeded max depth") from None
    return builtin.complain(resource, unknown, field_validation)


def _metadata(owner: Object, path: str, complete: bool) -> list[str]:
    unknown: list[str] = []
    try:
        builtin.read_struct(schema().metadata(), owner["metadata"], unknown, complete)
    except builtin.Mismatch as mismatch:
        mismatch.path.insert(0, path)
        raise
    return [f"{path}.{name}" for name in unknown]


def _embedded(node: dict[str, Any], value: Any, path: str, complete: bool, unknown: list[str]) -> None:
    """The metadata of resources inside: typed like any other's."""
    if type(value) is list and isinstance(items := node.get("items"), dict):
        for index, item in enumerate(value):
            _embedded(items, item, f"{path}[{index}]", complete, unknown)
    if type(value) is not dict:
        return
    if node.get("x-kubernetes-embedded-resource") and type(value.get("metadata")) is dict:
        unknown += _metadata(value, f"{path}.metadata", complete)
    others = node.get("additionalProperties")
    properties = node.get("properties") or {}
    for key, item in value.items():
        child = properties.get(key, others)
        if isinstance(child, dict) and type(item) in (dict, list):
            _embedded(child, item, f"{path}.{key}" if path else key, complete, unknown)
