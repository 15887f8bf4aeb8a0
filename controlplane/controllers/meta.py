"""The small vocabulary every controller shares: names, owners, conditions and times of API objects. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str]
"""(namespace, name); the namespace is empty for cluster-scoped objects."""


def metadata(obj: Mapping[str, Any]) -> dict[str, Any]:
    return obj.get("metadata") or {}


def key(obj: Mapping[str, Any]) -> Key:
    meta = metadata(obj)
    return meta.get("namespace") or "", meta.get("name") or ""


def name(obj: Mapping[str, Any]) -> str:
    return str(metadata(obj).get("name") or "")


def namespace(obj: Mapping[str, Any]) -> str:
    return str(metadata(obj).get("namespace") or "")


def uid(obj: Mapping[str, Any]) -> str:
    return str(metadata(obj).get("uid") or "")


def labels(obj: Mapping[str, Any]) -> dict[str, str]:
    return metadata(obj).get("labels") or {}


def annotations_of(obj: Mapping[str, Any]) -> dict[str, str]:
    return metadata(obj).get("annotations") or {}


def spec(obj: Mapping[str, Any]) -> dict[str, Any]:
    return obj.get("spec") or {}


def status(obj: Mapping[str, Any]) -> dict[str, Any]:
    return obj.get("status") or {}


def is_deleting(obj: Mapping[str, Any]) -> bool:
    return bool(metadata(obj).get("deletionTimestamp"))


def created(obj: Mapping[str, Any]) -> str:
    """The creation timestamp; RFC 3339 in UTC, so it sorts as text."""
    return str(metadata(obj).get("creationTimestamp") or "")


def controller_of(obj: Mapping[str, Any]) -> dict[str, Any] | None:
    """The owner reference that says `controller: true`, if any."""
    for reference in metadata(obj).get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return None


def is_controlled_by(obj: Mapping[str, Any], owner: Mapping[str, Any]) -> bool:
    reference = controller_of(obj)
    return reference is not None and reference.get("uid") == uid(owner)


def controller_reference(owner: Mapping[str, Any], api_version: str, kind: str) -> Object:
    """The reference an object gets to the controller that made it."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name(owner),
        "uid": uid(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def with_metadata(obj: Object, **changes: Any) -> Object:
    """A copy of the object with some metadata fields replaced; nothing else is copied."""
    return {**obj, "metadata": {**metadata(obj), **changes}}


def timestamp(now: float) -> str:
    """Seconds since the epoch as Kubernetes writes times."""
    return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(now: float) -> str:
    """Seconds since the epoch as Kubernetes writes a MicroTime."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str | None) -> float | None:
    """An RFC 3339 time as seconds since the epoch; None for what is no time."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def condition(conditions: Iterable[Mapping[str, Any]] | None, kind: str) -> dict[str, Any] | None:
    for item in conditions or ():
        if item.get("type") == kind:
            return dict(item)
    return None


def is_condition_true(obj: Mapping[str, Any], kind: str) -> bool:
    found = condition(status(obj).get("conditions"), kind)
    return found is not None and found.get("status") == "True"


def without_condition(conditions: Sequence[Object] | None, kind: str) -> list[Object]:
    return [item for item in conditions or () if item.get("type") != kind]


def with_condition(conditions: Sequence[Object] | None, new: Object) -> list[Object]:
    """The conditions with `new` in place of its type; unchanged if status and reason are what they were.

    The time of the last transition is kept while the status stays the same.
    """
    current = condition(conditions, new["type"])
    if current is not None and (current.get("status"), current.get("reason")) == (new["status"], new.get("reason")):
        return list(conditions or ())
    if current is not None and current.get("status") == new["status"] and "lastTransitionTime" in current:
        new = {**new, "lastTransitionTime": current["lastTransitionTime"]}
    return [*without_condition(conditions, new["type"]), new]


def scaled_value(value: int | str | None, total: int, *, round_up: bool) -> int:
    """An IntOrString such as 1 or "25%" of `total`. Raises ValueError for other text."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    if not value.endswith("%"):
        raise ValueError(f"invalid value for IntOrString: {value!r}")
    product = int(value[:-1]) * total
    return -(-product // 100) if round_up else product // 100
