"""Merging and taking apart typed objects, as server-side apply does. Inputs are never changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import fieldsets
from .fieldsets import Set, child, element, granular
from .schema import Type

_ANY = Type("any", "interface {}")


def merged(kind: Type, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """`old` with what `new` says: structs, maps and keyed lists merge, everything else is replaced."""
    found = dict(old)
    for key, value in new.items():
        found[key] = _merged(child(kind, key), found[key], value) if key in found else value
    return found


def _merged(kind: Type, old: Any, new: Any) -> Any:
    if not granular(kind, new) or not granular(kind, old):
        return new
    if kind.kind == "list":
        return _merged_lists(kind, old, new)
    return merged(kind, old, new)


def _merged_lists(kind: Type, old: list[Any], new: list[Any]) -> list[Any]:
    """New items in their order; items only the old list has keep their place before the next common item."""
    items = kind.items or _ANY
    before = {element(kind, item, index): item for index, item in enumerate(old)}
    after = {element(kind, item, index): item for index, item in enumerate(new)}
    found: list[Any] = []
    pending = list(before)
    for name, item in after.items():
        if name in before:
            while pending:
                first = pending.pop(0)
                if first == name:
                    break
                if first not in after:
                    found.append(before[first])
            found.append(_merged(items, before[name], item))
        else:
            while pending and pending[0] not in after:
                found.append(before[pending.pop(0)])
            found.append(item)
    found += [before[name] for name in pending if name not in after]
    return found


def without(kind: Type, value: Mapping[str, Any], gone: Set) -> dict[str, Any]:
    """The object without the members of `gone`."""
    found = dict(value)
    for name, node in gone.items():
        if not name.startswith("f:"):
            continue
        key = name[2:]
        if key not in found:
            continue
        if not node or "." in node:
            del found[key]
        else:
            found[key] = _without(child(kind, key), found[key], node)
    return found


def _without(kind: Type, value: Any, gone: Set) -> Any:
    if not granular(kind, value):
        return value
    if kind.kind != "list":
        return without(kind, value, gone)
    items = kind.items or _ANY
    found = []
    for index, item in enumerate(value):
        node = gone.get(fieldsets.element(kind, item, index))
        if node is None:
            found.append(item)
        elif node and "." not in node:
            found.append(_without(items, item, node))
    return found
