"""Sets of field paths, as server-side apply keeps them (fieldsV1), and the sets that objects and changes amount to.

A set is the very JSON of fieldsV1: a tree whose keys are path elements (`f:name`, `k:{"name":"c"}`, `v:"x"`) and where
a node is a member when it is empty or has the key ".". The root is no member. Trees are never changed once made, so
that they can be shared with stored objects; a part that two trees have in common stays one object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from .schema import Type

Set = dict[str, Any]

KEY_DEFAULTS: Final = {"protocol": "TCP"}
"""What a missing key field of a list's item counts as."""
_ANY = Type("any", "interface {}")


class _Absent:
    """No value at all, which differs from null."""


ABSENT: Final = _Absent()


def union(a: Set, b: Set) -> Set:
    if not b:
        return a
    if not a:
        return b
    found = dict(a)
    for key, node in b.items():
        found[key] = _union(found[key], node) if key in found else node
    return found


def _union(a: Set, b: Set) -> Set:
    if a is b or a == b:
        return a
    if not a:
        return b if "." in b else {".": {}, **b}
    if not b:
        return a if "." in a else {".": {}, **a}
    return union(a, b)


def difference(a: Set, b: Set) -> Set:
    """The members of `a` that are none of `b`."""
    if not b or not a:
        return a
    found: Set = {}
    changed = False
    for key, node in a.items():
        other = b.get(key)
        if other is None:
            found[key] = node
            continue
        rest = _difference(node, other) if key != "." else None
        changed = changed or rest is not node
        if rest is not None:
            found[key] = rest
    return found if changed else a


def _difference(a: Set, b: Set) -> Set | None:
    member_b = not b or "." in b
    if not a:
        return None if member_b else a
    if not b:
        rest = {key: node for key, node in a.items() if key != "."}
        return a if len(rest) == len(a) else (rest or None)
    rest = difference(a, b)
    return rest if rest is a else _shape(rest)


def _shape(node: Set) -> Set | None:
    """A node without children is a plain member, or gone."""
    if not node:
        return None
    return {} if len(node) == 1 and "." in node else node


def intersection(a: Set, b: Set) -> Set:
    found: Set = {}
    for key in a.keys() & b.keys():
        if key == ".":
            found[key] = {}
            continue
        node = _intersection(a[key], b[key])
        if node is not None:
            found[key] = node
    return found


def _intersection(a: Set, b: Set) -> Set | None:
    if not a:
        return {} if not b or "." in b else None
    if not b:
        return {} if "." in a else None
    return _shape(intersection(a, b))


def paths(fields: Set, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every member, in the order of its text."""
    for key in sorted(fields):
        if key == ".":
            continue
        node = fields[key]
        path = (*prefix, key)
        if not node or "." in node:
            yield path
        yield from paths(node, path)


def path_text(path: tuple[str, ...]) -> str:
    """A path as messages show it: `.spec.containers[name="c"].image`."""
    parts = []
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            parts.append(f".{rest}")
        elif kind == "k":
            keys = orjson.loads(rest)
            parts.append("[" + ",".join(f"{key}={orjson.dumps(value).decode()}" for key, value in keys.items()) + "]")
        elif kind == "v":
            parts.append(f"[={rest}]")
        else:
            parts.append(f"[{rest}]")
    return "".join(parts)


def element(kind: Type, item: Any, index: int) -> str:
    """The path element of a list's item."""
    if kind.list_type == "set" or type(item) is not dict:
        return "v:" + orjson.dumps(item, option=orjson.OPT_SORT_KEYS).decode()
    keys = kind.keys
    if len(keys) == 1:
        key = keys[0]
        found = item.get(key)
        return 'k:{"' + key + '":' + orjson.dumps(KEY_DEFAULTS.get(key) if found is None else found).decode() + "}"
    values = {key: item[key] if item.get(key) is not None else KEY_DEFAULTS.get(key) for key in sorted(keys)}
    return "k:" + orjson.dumps({key: value for key, value in values.items() if value is not None}).decode()


def granular(kind: Type, value: Any) -> bool:
    """Whether the parts of this value are owned one by one."""
    if kind.atomic:
        return False
    match kind.kind:
        case "struct" | "map":
            return type(value) is dict
        case "list":
            return type(value) is list
        case "any":
            return type(value) is dict
    return False


def child(kind: Type, key: str) -> Type:
    """The type of a struct's field or a map's value."""
    if kind.kind == "struct":
        field = kind.fields.get(key)
        return _ANY if field is None else field.type
    return kind.items or _ANY


def everything(kind: Type, value: Any) -> Set:
    """The node for a value that is there as a whole: itself and every part of it."""
    if not value or not granular(kind, value):
        return {}
    found: Set = {".": {}}
    if kind.kind == "list":
        items = kind.items or _ANY
        for index, item in enumerate(value):
            found[element(kind, item, index)] = everything(items, item)
    else:
        for key, item in value.items():
            found[f"f:{key}"] = everything(child(kind, key), item)
    return found


def applied(kind: Type, value: Mapping[str, Any]) -> Set:
    """The set that an applied configuration declares: its leaves, the items of its lists and the keys of its maps."""
    found: Set = {}
    for key, item in value.items():
        of = child(kind, key)
        if granular(of, item):
            node = _applied_list(of, item) if of.kind == "list" else applied(of, item)
            if not item:
                node = {}
            elif kind.kind == "map" or (kind.kind == "any") or (kind.kind == "struct" and key not in kind.fields):
                node = {".": {}, **node}
        else:
            node = {}
        found[f"f:{key}"] = node
    return found


def _applied_list(kind: Type, value: list[Any]) -> Set:
    items = kind.items or _ANY
    found: Set = {}
    for index, item in enumerate(value):
        node = applied(items, item) if granular(items, item) else {}
        found[element(kind, item, index)] = {".": {}, **node} if node else {}
    return found


def compare(kind: Type, old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Set, Set]:
    """What differs between two objects: (added or modified, removed). Walks only what is unequal."""
    changed: Set = {}
    removed: Set = {}
    for key, value in new.items():
        before = old.get(key, ABSENT)
        if before is value or before == value:
            continue
        if before is ABSENT:
            changed[f"f:{key}"] = everything(child(kind, key), value)
        else:
            _compare(child(kind, key), f"f:{key}", before, value, changed, removed)
    for key, value in old.items():
        if key not in new:
            removed[f"f:{key}"] = everything(child(kind, key), value)
    return changed, removed


def _compare(kind: Type, name: str, old: Any, new: Any, changed: Set, removed: Set) -> None:
    """Note how a value that both objects have differs."""
    if not granular(kind, new if new else old) or not (old or new):
        changed[name] = {}
        return
    if (old and not granular(kind, old)) or (new and not granular(kind, new)):
        changed[name] = everything(kind, new)
        return
    if kind.kind == "list":
        added, gone = _compare_lists(kind, old or [], new or [])
    else:
        added, gone = compare(kind, old or {}, new or {})
    if added:
        changed[name] = added
    if gone:
        removed[name] = gone


def _compare_lists(kind: Type, old: list[Any], new: list[Any]) -> tuple[Set, Set]:
    items = kind.items or _ANY
    before = {element(kind, item, index): item for index, item in enumerate(old)}
    after = {element(kind, item, index): item for index, item in enumerate(new)}
    changed: Set = {}
    removed: Set = {}
    for name, item in after.items():
        if name not in before:
            changed[name] = everything(items, item)
        elif before[name] != item:
            _compare(items, name, before[name], item, changed, removed)
    for name, item in before.items():
        if name not in after:
            removed[name] = everything(items, item)
    return changed, removed
