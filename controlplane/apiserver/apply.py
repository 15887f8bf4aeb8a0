"""Who owns which field: managedFields for every write, and server-side apply with its conflicts.

`track_update` notes an ordinary create or update in metadata.managedFields; `apply` merges an applied configuration
into the live object and takes away what its manager no longer declares. Both follow structured-merge-diff, the library
that Kubernetes uses, and both walk only what changed. Field sets are the trees of fieldsets.py.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import orjson

from panal.errors import BadRequest, Conflict
from panal.resources import Resource

from . import fieldsets
from .custom.resource import CustomResource
from .decode import decode
from .fielderrors import bad, go_quote, invalid
from .fieldsets import Set
from .merge import merged, without
from .schema import Type, schema

MAX_UPDATE_MANAGERS = 10
"""More managers of ordinary updates than these are folded into one, the oldest first."""
ANCIENT = "ancient-changes"
BEFORE_FIRST_APPLY = "before-first-apply"
Entry = dict[str, Any]
Object = dict[str, Any]

_IDENTITY: Set = {
    "f:apiVersion": {},
    "f:kind": {},
    "f:metadata": {
        ".": {},
        **{
            f"f:{name}": {}
            for name in (
                "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation",
                "managedFields", "resourceVersion",
            )
        },
    },
}  # fmt: skip
"""What nobody owns."""


def track_update(
    resource: Resource,
    old: Object | None,
    new: Object,
    *,
    manager: str,
    now: str,
    subresource: str = "",
    reset_status: bool = True,
) -> None:
    """Note in `new`'s managedFields what `manager` changed. `old` is None for a create.

    An update that says nothing of managedFields keeps the old ones; one that sends an empty list drops them all.
    `reset_status`: the main resource's writes leave `status` alone (they have no say in it).
    """
    metadata = new.setdefault("metadata", {})
    entries = _entries(metadata, old)
    kind = schema().of(resource)
    before = schema().empty(resource) if old is None else old
    if old is None and not isinstance(resource, CustomResource):
        changed, removed = _compare_new(resource, before, new)
    else:
        changed, removed = fieldsets.compare(kind, before, new)
    changed, removed = _owned(changed, subresource, reset_status), _owned(removed, subresource, reset_status)
    if changed or removed:
        entries = _updated(entries, resource.api_version, changed, removed, manager, now, subresource)
    _store(metadata, entries)


_SPECS_KEPT = 256
_SPEC_LIMIT = 16 * 1024
"""Bytes of a specification that is worth remembering at most."""
_specs: dict[tuple[Resource, bytes], tuple[Set, Set]] = {}
"""What a new object's specification amounts to: pods of one template have the same."""


def _compare_new(resource: Resource, empty: Object, new: Object) -> tuple[Set, Set]:
    """`fieldsets.compare` of a new object; what objects have in common is walked once."""
    kind = schema().of(resource)
    key = (resource, orjson.dumps(new.get("spec")))
    found = _specs.get(key)
    if found is None:
        only = {name: each["spec"] for name, each in (("old", empty), ("new", new)) if "spec" in each}
        before = {"spec": only["old"]} if "old" in only else {}
        found = fieldsets.compare(kind, before, {"spec": only["new"]} if "new" in only else {})
        if len(key[1]) <= _SPEC_LIMIT:
            if len(_specs) >= _SPECS_KEPT:
                _specs.clear()
            _specs[key] = found
    rest = fieldsets.compare(kind, _without_spec(empty), _without_spec(new))
    return {**rest[0], **found[0]}, {**rest[1], **found[1]}


def _without_spec(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key != "spec"}


def _entries(metadata: Object, old: Object | None) -> list[Entry]:
    """The entries to start from: those sent, none for a reset (`[{}]`), else those of the old object."""
    sent = metadata.get("managedFields")
    if sent == [{}]:
        return []
    kept = old["metadata"].get("managedFields") if old is not None else None
    if sent and (sent == kept or all(map(_readable, sent))):
        return list(sent)
    return [] if old is None else list(old["metadata"].get("managedFields") or ())


def _readable(entry: Entry) -> bool:
    """Whether a client's entry is one: who sends others keeps those that are stored."""
    return (
        entry.get("operation") in ("Apply", "Update")
        and entry.get("fieldsType") == "FieldsV1"
        and _is_set(entry.get("fieldsV1"), 0)
    )


_DEPTH = 100
"""Levels of a set of fields at most."""


def _is_set(node: Any, depth: int) -> bool:
    if type(node) is not dict or depth > _DEPTH:
        return False
    return all((key == "." or key[1:2] == ":") and _is_set(below, depth + 1) for key, below in node.items())


def _store(metadata: Object, entries: list[Entry]) -> None:
    if entries:
        metadata["managedFields"] = sorted(entries, key=_order)
    else:
        metadata.pop("managedFields", None)


def _order(entry: Entry) -> tuple[str, str, str, str, str]:
    return (
        entry.get("operation", ""), entry.get("time") or "", entry.get("manager", ""), entry.get("apiVersion", ""),
        entry.get("subresource", ""),
    )  # fmt: skip


def _owned(fields: Set, subresource: str, reset_status: bool) -> Set:
    """Without identity and without what the strategy resets on this path."""
    if not fields:
        return fields
    fields = fieldsets.difference(fields, _IDENTITY)
    if subresource == "status":
        return {key: node for key, node in fields.items() if key != "f:spec"}
    if not subresource and reset_status and "f:status" in fields:
        return {key: node for key, node in fields.items() if key != "f:status"}
    return fields


def _updated(
    entries: list[Entry], api_version: str, changed: Set, removed: Set, manager: str, now: str, subresource: str
) -> list[Entry]:
    """The entries after an ordinary update: everybody loses what changed or went, the manager gains what changed."""
    found: list[Entry] = []
    lost = fieldsets.union(changed, removed)
    own: Entry | None = None
    for entry in entries:
        before: Set = entry.get("fieldsV1") or {}
        fields = fieldsets.difference(before, lost)
        mine = _same_manager(entry, manager, "Update", api_version, subresource)
        if mine:
            own = entry = {**entry, "fieldsV1": fields}
        elif not fields:
            continue
        elif fields is not before:
            entry = {**entry, "fieldsV1": fields}
        found.append(entry)
    if changed:
        if own is None:
            own = _entry(manager, "Update", api_version, now, changed, subresource)
            found.append(own)
        else:
            own["fieldsV1"] = fieldsets.union(own["fieldsV1"], changed)
            own["time"] = now
    elif own is not None and not own["fieldsV1"]:
        found.remove(own)
    return _capped(found)


def _same_manager(entry: Entry, manager: str, operation: str, api_version: str, subresource: str) -> bool:
    return (
        entry.get("manager") == manager
        and entry.get("operation") == operation
        and entry.get("subresource", "") == subresource
        and (operation == "Apply" or entry.get("apiVersion") == api_version)
    )


def _entry(manager: str, operation: str, api_version: str, now: str, fields: Set, subresource: str) -> Entry:
    entry: Entry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": api_version,
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    if subresource:
        entry["subresource"] = subresource
    return entry


def _capped(entries: list[Entry]) -> list[Entry]:
    """Fold the oldest managers of updates into one when there are too many."""
    updates = sorted(
        (entry for entry in entries if entry.get("operation") == "Update"), key=lambda e: e.get("time") or ""
    )
    if len(updates) <= MAX_UPDATE_MANAGERS:
        return entries
    surplus = updates[: len(updates) - MAX_UPDATE_MANAGERS + 1]
    kept = [entry for entry in entries if not any(entry is old for old in surplus)]
    by_version: dict[str, Entry] = {}
    for entry in surplus:
        version = entry.get("apiVersion", "")
        folded = by_version.get(version)
        if folded is None:
            by_version[version] = _entry(ANCIENT, "Update", version, entry.get("time", ""), entry["fieldsV1"], "")
        else:
            folded["fieldsV1"] = fieldsets.union(folded["fieldsV1"], entry["fieldsV1"])
            folded["time"] = entry.get("time", "")
    return kept + list(by_version.values())


def apply(
    resource: Resource,
    live: Object | None,
    applied: Object,
    *,
    manager: str,
    force: bool,
    now: str,
    subresource: str = "",
    reset_status: bool = True,
    ceded: Set | None = None,
    default: Callable[[Object], None] | None = None,
) -> Object:
    """The object after applying `applied` for `manager`. Raises Conflict with a cause for every contested field.

    `applied` is a decoded object (`decode` with `complete=False`: without what Kubernetes would fill in). The answer is
    a new object, or `live` itself when nothing changed. `default` fills in defaults, which nobody owns. Over `ceded`
    fields there are no conflicts.
    """
    if applied.get("metadata", {}).get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil")
    kind = schema().of(resource)
    before: Object = {"apiVersion": resource.api_version, "kind": resource.kind} if live is None else live
    entries = list(before.get("metadata", {}).get("managedFields") or ())
    if live is not None and not entries:
        entries = _before_first_apply(resource, live, now)
    declared = _owned(fieldsets.applied(kind, applied), subresource, reset_status)
    last = next((e for e in entries if _same_manager(e, manager, "Apply", resource.api_version, subresource)), None)
    others = [entry for entry in entries if entry is not last]
    result = merged(kind, before, applied)
    if last is not None:
        result = _pruned(kind, result, last["fieldsV1"], declared, others)
    changed, removed = fieldsets.compare(kind, before, result)
    changed, removed = _owned(changed, subresource, reset_status), _owned(removed, subresource, reset_status)
    if not force:
        _refuse_conflicts(others, fieldsets.difference(changed, ceded or {}))
    if live is not None and result == before and last is not None and last["fieldsV1"] == declared:
        return live
    lost = fieldsets.union(changed, removed)
    kept = []
    for entry in others:
        fields = fieldsets.difference(entry.get("fieldsV1") or {}, lost)
        if fields:
            kept.append({**entry, "fieldsV1": fields})
    if declared:
        kept.append(_entry(manager, "Apply", resource.api_version, now, declared, subresource))
    result.setdefault("metadata", {})
    result = dict(orjson.loads(orjson.dumps(result)))  # changed in place below, and it shares parts with `live`
    decode(resource, result)
    if default is not None:
        default(result)
    _store(result["metadata"], kept)
    return result


def _before_first_apply(resource: Resource, live: Object, now: str) -> list[Entry]:
    """An object that nobody tracked belongs to a manager of that name, as far as it goes."""
    changed, _ = fieldsets.compare(schema().of(resource), schema().empty(resource), live)
    fields = _owned(changed, "", False)
    return [_entry(BEFORE_FIRST_APPLY, "Update", resource.api_version, now, fields, "")] if fields else []


def _pruned(kind: Type, result: Object, last: Set, declared: Set, others: list[Entry]) -> Object:
    """Without what the manager declared last time, declares no more, and nobody else owns."""
    managed = declared
    for entry in others:
        managed = fieldsets.union(managed, entry.get("fieldsV1") or {})
    gone = fieldsets.difference(_with_fields(kind, last), _with_fields(kind, managed))
    return without(kind, copy.copy(result), gone) if gone else result


def _with_fields(kind: Type, fields: Set) -> Set:
    """The set with every struct field on the way to a member made a member."""
    found: Set = {}
    for name, node in fields.items():
        if name == ".":
            found[name] = node
            continue
        of = fieldsets.child(kind, name[2:]) if name.startswith("f:") else (kind.items or kind)
        below = _with_fields(of, node) if node else node
        named = name.startswith("f:") and kind.kind == "struct" and name[2:] in kind.fields
        found[name] = {".": {}, **below} if named and below and "." not in below else below
    return found


def _refuse_conflicts(others: list[Entry], changed: Set) -> None:
    causes: list[dict[str, str]] = []
    by_manager: dict[str, list[str]] = {}
    for entry in sorted(others, key=_order):
        contested = fieldsets.intersection(entry.get("fieldsV1") or {}, changed)
        for path in fieldsets.paths(contested):
            who, field = _shown_manager(entry), fieldsets.path_text(path)
            causes.append({"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": field})
            by_manager.setdefault(who, []).append(field)
    if not causes:
        return
    if len(causes) == 1:
        words = f"1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        parts = [f"conflicts with {who}:\n" + "\n".join(f"- {field}" for field in found)
                 for who, found in sorted(by_manager.items())]  # fmt: skip
        words = f"{len(causes)} conflicts: " + "\n".join(parts)
    raise Conflict(f"Apply failed with {words}", details={"causes": causes})


def _shown_manager(entry: Entry) -> str:
    shown = go_quote(entry.get("manager", ""))
    if entry.get("operation") == "Apply" and not entry.get("subresource"):
        return shown
    if entry.get("subresource"):
        shown += f" with subresource {go_quote(entry['subresource'])}"
    return shown if entry.get("operation") == "Apply" else f"{shown} using {entry.get('apiVersion', '')}"


def check_manager(manager: str, *, required: bool) -> None:
    """The rules for the query parameter fieldManager. Raises Invalid, as for PatchOptions."""
    errors = []
    if required and not manager:
        from .fielderrors import required as missing

        errors.append(missing("fieldManager", "is required for apply patch"))
    if len(manager.encode()) > 128:
        from .fielderrors import too_long

        errors.append(too_long("fieldManager", 128))
    elif not manager.isprintable():
        errors.append(bad("fieldManager", manager, "should only contain printable characters"))
    if errors:
        raise invalid("PatchOptions", "meta.k8s.io", "", errors)
