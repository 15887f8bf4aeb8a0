"""Strategic merge patch: a merge patch that knows, from the schema, which lists merge and by which key.

The directives (`$patch`, `$retainKeys`, `$deleteFromPrimitiveList/x`, `$setElementOrder/x`) are those of
k8s.io/apimachinery/pkg/util/strategicpatch; kubectl apply and edit send them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panal.errors import BadRequest
from panal.resources import Resource

from ..schema import Field, Type, schema
from .mergepatch import MAX_DEPTH

_PATCH, _RETAIN = "$patch", "$retainKeys"
_DELETE, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"
_ANY = Type("any", "interface {}")
_NO_FIELD = Field(_ANY, required=False, omit_zero=False)


def strategic_merge_patch(resource: Resource, obj: Mapping[str, Any], patch: Any) -> dict[str, Any]:
    """The patched object. Raises BadRequest in Kubernetes' words where the patch makes no sense."""
    if not isinstance(patch, Mapping):
        raise BadRequest("Invalid JSON Patch")
    return _merge_map(schema().of(resource), obj, patch, 0)


def _merge_map(kind: Type, target: Mapping[str, Any], patch: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise BadRequest("the patch is nested too deeply")
    directive = patch.get(_PATCH)
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != _PATCH}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise BadRequest(f"Unknown patch type: {directive}")
    found = _retained(target, patch)
    for key, value in patch.items():
        if key in (_PATCH, _RETAIN) or key.startswith(_ORDER):
            continue
        if key.startswith(_DELETE):
            _delete_primitives(found, key.removeprefix(_DELETE), value)
        elif value is None:
            found.pop(key, None)
        else:
            found[key] = _merge_value(_field(kind, key), key, found.get(key), value, depth)
            if f"{_ORDER}{key}" in patch and isinstance(found[key], list):
                found[key] = _ordered(_field(kind, key).type, found[key], value, target.get(key), patch[_ORDER + key])
    for key, order in patch.items():
        if key.startswith(_ORDER):
            name = key.removeprefix(_ORDER)
            if name not in patch and isinstance(found.get(name), list):
                found[name] = _ordered(_field(kind, name).type, found[name], [], target.get(name), order)
    return found


def _retained(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    keep = patch.get(_RETAIN)
    if keep is None:
        return dict(target)
    if not isinstance(keep, list):
        raise BadRequest("invalid patch format of retainKeys")
    return {key: value for key, value in target.items() if key in keep}


def _field(kind: Type, key: str) -> Field:
    if kind.kind == "struct":
        return kind.fields.get(key, _NO_FIELD)
    if kind.kind == "map" and kind.items is not None:
        return Field(kind.items, required=False, omit_zero=False)
    return _NO_FIELD


def _merge_value(field: Field, key: str, old: Any, new: Any, depth: int) -> Any:
    kind = field.type
    if isinstance(new, Mapping):
        if isinstance(old, Mapping) or any(name.startswith("$") for name in new):
            return _merge_map(kind, old if isinstance(old, Mapping) else {}, new, depth + 1)
        return _cleaned(kind, new, depth + 1)
    if isinstance(new, list) and kind.kind == "list" and kind.merge:
        if not kind.merge_key:
            merged = list(old) if isinstance(old, list) else []
            return merged + [item for item in _unique(new) if item not in merged]
        return _merge_list(kind, old if isinstance(old, list) else [], new, depth + 1)
    return new


def _cleaned(kind: Type, new: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """A new part of the object: without nulls, and its own lists brought through the same directives."""
    return _merge_map(kind, {}, new, depth)


def _unique(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def _merge_list(kind: Type, old: list[Any], new: list[Any], depth: int) -> list[Any]:
    """A list of objects merged by its key; deletions first, then changes in place, then additions at the end."""
    items, key = kind.items or _ANY, kind.merge_key
    if not all(isinstance(item, Mapping) for item in new):
        raise BadRequest("expected a list of maps, but found something else")
    if any(item.get(_PATCH) == "replace" for item in new):
        return [_cleaned(items, item, depth) for item in new if _PATCH not in item]
    merged = list(old)
    for item in new:
        directive = item.get(_PATCH)
        if directive == "delete":
            value = _key(item, key)
            merged = [entry for entry in merged if not (isinstance(entry, Mapping) and entry.get(key) == value)]
        elif directive not in (None, "merge"):
            raise BadRequest(f"Unknown patch type: {directive}")
    for item in new:
        if item.get(_PATCH) == "delete":
            continue
        value = _key(item, key)
        for index, entry in enumerate(merged):
            if isinstance(entry, Mapping) and entry.get(key) == value:
                merged[index] = _merge_map(items, entry, item, depth + 1)
                break
        else:
            merged.append(_cleaned(items, {name: part for name, part in item.items() if name != _PATCH}, depth))
    return merged


def _key(item: Mapping[str, Any], key: str) -> Any:
    if key not in item:
        shown = " ".join(f"{name}:{value}" for name, value in sorted(item.items()))
        raise BadRequest(f"map: map[{shown}] does not contain declared merge key: {key}")
    return item[key]


def _delete_primitives(found: dict[str, Any], name: str, values: Any) -> None:
    if not isinstance(values, list):
        raise BadRequest("invalid patch format of delete primitive list")
    current = found.get(name)
    if isinstance(current, list):
        found[name] = [item for item in current if item not in values]


def _ordered(kind: Type, merged: list[Any], patch: Any, old: Any, order: Any) -> list[Any]:
    """The merged list in the order the patch sets; what it does not name stays where it stood before."""
    if not isinstance(order, list):
        raise BadRequest("invalid patch format of setElementOrder list")
    key = kind.merge_key

    def identity(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, Mapping) else item

    wanted = [identity(item) for item in order]
    named = [item for item in merged if identity(item) in wanted]
    named.sort(key=lambda item: wanted.index(identity(item)))
    rest = [item for item in merged if identity(item) not in wanted]
    if not rest:
        return named
    before = [identity(item) for item in (old if isinstance(old, list) else merged)]

    def place(item: Any) -> int:
        value = identity(item)
        return before.index(value) if value in before else len(before)

    found: list[Any] = []
    while named or rest:
        if not rest or (named and place(named[0]) <= place(rest[0])):
            found.append(named.pop(0))
        else:
            found.append(rest.pop(0))
    return found
