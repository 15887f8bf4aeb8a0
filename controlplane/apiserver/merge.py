"""Merging and taking apart typed objects, as server-side apply does. Inputs are never changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from panal.errors import BadRequest

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
    """New items in their order; items only the old list has keep their place before the next common item.

    A live list may hold several items of one key, which stay as they are until an applied one takes their place.
    Raises BadRequest where the applied list itself does.
    """
    items = kind.items or _ANY
    before: dict[str, list[Any]] = {}
    for index, item in enumerate(old):
        before.setdefault(element(kind, item, index), []).append(item)
    after = {element(kind, item, index): item for index, item in enumerate(new)}
    if len(after) != len(new):
        raise BadRequest(f"duplicate entries for key {_duplicate(kind, new)}")
    found: list[Any] = []
    pending = deque(before)
    for name, item in after.items():
        while pending and (pending[0] not in after or (name in before and pending[0] != name)):
            first = pending.popleft()
            if first not in after:
                found += before[first]
        if pending and pending[0] == name:
            pending.popleft()
        same = before.get(name, ())
        found.append(_merged(items, same[0], item) if len(same) == 1 else item)
    for name in pending:
        if name not in after:
            found += before[name]
    return found


def _duplicate(kind: Type, new: list[Any]) -> str:
    """The first path element that stands for more than one item, as messages show it."""
    seen: set[str] = set()
    for index, item in enumerate(new):
        name = element(kind, item, index)
        if name in seen:
            return fieldsets.path_text((name,))
        seen.add(name)
    return ""


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
