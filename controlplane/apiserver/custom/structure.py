"""What one node of a custom kind's schema may say: types, lists that are maps or sets, defaults. Pure.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
and #merge-strategy of server-side apply.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..fielderrors import FieldError, bad, forbidden, not_supported, required

Node = dict[str, Any]

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_LIST, _KEYS, _MAP = "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"
_KEEP, _EMBEDDED, _EITHER = (
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string",
)  # fmt: skip
_BRANCHES = ("allOf", "anyOf", "oneOf")
_STRUCTURE: tuple[tuple[str, str], ...] = (
    ("type", "must be empty to be structural"), ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"), ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"), ("nullable", "must be false to be structural"),
    (_KEEP, "must be false to be structural"), (_EMBEDDED, "must be false to be structural"),
    (_EITHER, "must be false to be structural"), (_KEYS, "must be empty to be structural"),
    (_LIST, "must be undefined to be structural"), (_MAP, "must be undefined to be structural"),
)  # fmt: skip
"""What belongs to a schema's structure, and so not into the branches of allOf, anyOf, oneOf and not."""


def node(found: Node, field: str, *, root: bool) -> Iterator[FieldError]:
    kind = found.get("type") or ""
    if kind and kind not in _TYPES:
        yield not_supported(f"{field}.type", kind, _TYPES)
    if root and found.get("nullable"):
        yield forbidden(f"{field}.nullable", "nullable cannot be true at the root")
    if found.get(_KEEP) is False:
        yield bad(f"{field}.{_KEEP}", False, "must be true or undefined")
    yield from _typed(found, field, kind)
    if found.get(_LIST) == "map":
        yield from _list_map(found, field)
    if found.get(_LIST) in ("map", "set"):
        yield from _items(found, field)
    yield from _branches(found, field)
    if found.get("default") is not None:
        yield from _default(found, field, root=root)


def _typed(found: Node, field: str, kind: str) -> Iterator[FieldError]:
    """Extensions that only go with one type."""
    for mark, wanted, known in (
        (_MAP, "object", ("atomic", "granular")),
        (_LIST, "array", ("atomic", "set", "map")),
    ):
        if (value := found.get(mark)) is None:
            continue
        if kind != wanted:
            words = f"must be {wanted} if {mark} is specified"
            yield bad(f"{field}.type", kind, words) if kind else required(f"{field}.type", words)
        if value not in known:
            yield not_supported(f"{field}.{mark}", value, known)
    if found.get(_KEYS) and found.get(_LIST) != "map":
        words = f"must be map if {_KEYS} is non-empty"
        value = found.get(_LIST)
        yield required(f"{field}.{_LIST}", words) if value is None else bad(f"{field}.{_LIST}", value, words)
    if not found.get(_EMBEDDED):
        return
    if kind != "object":
        words = f"must be object if {_EMBEDDED} is true"
        yield bad(f"{field}.type", kind, words) if kind else required(f"{field}.type", words)
    if not found.get("properties") and not found.get(_KEEP):
        words = f"must not be empty if {_EMBEDDED} is true without {_KEEP}"
        yield required(f"{field}.properties", words)


def _list_map(found: Node, field: str) -> Iterator[FieldError]:
    keys, items = found.get(_KEYS) or [], found.get("items")
    if not keys:
        yield required(f"{field}.{_KEYS}", f"must not be empty if {_LIST} is map")
    if not isinstance(items, dict):
        yield required(f"{field}.items", f"must have a schema if {_LIST} is map")
        return
    if items.get("type") != "object":
        words = f"must be object if parent array's {_LIST} is map"
        yield bad(f"{field}.items.type", items.get("type", ""), words)
        return
    properties = items.get("properties") or {}
    for index, key in enumerate(keys):
        if key not in properties:
            yield bad(f"{field}.{_KEYS}", keys, "entries must all be names of item properties")
        elif properties[key].get("type") in ("array", "object"):
            words = f"must be a scalar type if parent array's {_LIST} is map"
            yield bad(f"{field}.items.properties[{key}].type", "object", words)
        if key in keys[:index]:
            yield bad(f"{field}.{_KEYS}", keys, "must not contain duplicate entries")


def _items(found: Node, field: str) -> Iterator[FieldError]:
    """Items of maps and sets must be told apart."""
    kind, items = found[_LIST], found.get("items")
    if not isinstance(items, dict):
        return
    if items.get("nullable"):
        yield forbidden(f"{field}.items.nullable", f"cannot be nullable when {_LIST} is {kind}")
    if kind == "set":
        words = f"must be atomic as item of a list with {_LIST}=set"
        if items.get("type") == "array" and items.get(_LIST, "atomic") != "atomic":
            yield bad(f"{field}.items.{_LIST}", items[_LIST], words)
        if items.get("type") == "object" and items.get(_MAP) != "atomic":
            yield bad(f"{field}.items.{_MAP}", items.get(_LIST), words)
        return
    for key in found.get(_KEYS) or ():
        child = (items.get("properties") or {}).get(key)
        if not isinstance(child, dict):
            continue
        where, why = f"{field}.items.properties[{key}]", f"this property is in {_KEYS}, so it"
        if key not in (items.get("required") or ()) and child.get("default") is None:
            yield required(f"{where}.default", f"{why} must have a default or be a required property")
        if child.get("nullable"):
            yield forbidden(f"{where}.nullable", f"{why} cannot be nullable")


def _branches(found: Node, field: str) -> Iterator[FieldError]:
    for name in _BRANCHES:
        for index, child in enumerate(found.get(name) or ()):
            yield from _branch(child, f"{field}.{name}[{index}]", either=bool(found.get(_EITHER)) and name != "oneOf")
    if isinstance(child := found.get("not"), dict):
        yield from _branch(child, f"{field}.not", either=False)


def _branch(found: Node, field: str, *, either: bool) -> Iterator[FieldError]:
    """Of an int-or-string the types may be said again: anyOf them, or allOf of anyOf them."""
    for key, words in _STRUCTURE:
        if found.get(key) in (None, "", False, []) or (either and key == "type"):
            continue
        yield forbidden(f"{field}.{key}", words)
    for name in _BRANCHES:
        for index, child in enumerate(found.get(name) or ()):
            yield from _branch(child, f"{field}.{name}[{index}]", either=either and name == "anyOf")
    if isinstance(child := found.get("not"), dict):
        yield from _branch(child, f"{field}.not", either=False)
    for key, child in (found.get("properties") or {}).items():
        yield from _branch(child, f"{field}.properties[{key}]", either=False)
    if isinstance(child := found.get("items"), dict):
        yield from _branch(child, f"{field}.items", either=False)


def _default(found: Node, field: str, *, root: bool) -> Iterator[FieldError]:
    """A default fits its own schema, and has nothing that would be pruned."""
    from . import pruning, values

    value, holder = found["default"], {"type": "object", "properties": {"default": found}}
    pruned = copy.deepcopy(value)
    pruning.prune(holder, {"default": pruned})
    if pruned != value:
        yield bad(f"{field}.default", value, "must not have unknown fields")
    for error in values.validate(holder, {"default": value}):
        where = error.field if error.field.startswith("<") else f"{field}.{error.field}"
        yield replace(error, field=where)
