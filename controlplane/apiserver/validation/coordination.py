"""Checks of Leases and Events: what the parts of a cluster tell each other."""

from __future__ import annotations

from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, forbidden, required
from .checks import Object, formatted
from .meta import immutable

_STRATEGY = "OldestEmulationVersion"
_LENGTHS = {"reportingInstance": 128, "action": 128, "reason": 128, "message": 1024}
_NO_NAMESPACE = "does not match event.namespace"


def lease(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors: list[FieldError] = []
    seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    strategy, preferred = spec.get("strategy"), spec.get("preferredHolder")
    if seconds is not None and seconds <= 0:
        errors.append(bad("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        errors.append(bad("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    if strategy and "/" not in strategy and strategy != _STRATEGY:
        words = "must be a fully qualified name" if "." in strategy else f"supported values: {_STRATEGY}"
        errors.append(bad("spec.strategy", strategy, words))
    if preferred and not strategy:
        errors.append(forbidden("spec.preferredHolder", "must not be specified when strategy is not specified"))
    return errors


def event(obj: Object) -> list[FieldError]:
    """A core Event, or one of events.k8s.io in the words of the core."""
    namespace, about = obj["metadata"].get("namespace", ""), obj.get("involvedObject") or {}
    other, field = about.get("namespace", ""), "involvedObject.namespace"
    errors: list[FieldError] = []
    if obj.get("eventTime") is None:
        wrong = namespace != other if other else namespace not in ("", "default")
        return [bad(field, other, _NO_NAMESPACE)] if wrong else []
    if not other and namespace not in ("default", "kube-system"):
        errors.append(bad(field, other, _NO_NAMESPACE))
    reporter = obj.get("reportingComponent", "")
    if not reporter:
        errors.append(required("reportingController"))
    errors += formatted(reporter, "reportingController", formats.qualified_name)
    for key, limit in _LENGTHS.items():
        found = obj.get(key) or ""
        if not found and key != "message":
            errors.append(required(key))
        if len(found) > limit:
            errors.append(bad(key, "", f"can have at most {limit} characters"))
    return errors


_UNSET = ("firstTimestamp", "lastTimestamp", "count")
_FIXED = (
    "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "type", "eventTime",
    "action", "related",
)  # fmt: skip


def new_event(obj: Object) -> list[FieldError]:
    """What events.k8s.io asks for beyond."""
    errors = _series(obj.get("series"))
    if obj.get("eventTime") is None:
        errors.append(required("eventTime"))
    if obj.get("type") not in ("Normal", "Warning"):
        errors.append(bad("type", "", f"has invalid value: {obj.get('type', '')}"))
    errors += [bad(key, "", "needs to be unset") for key in _UNSET if obj.get(key)]
    if any((obj.get("source") or {}).get(key) for key in ("component", "host")):
        errors.append(bad("source", "", "needs to be unset"))
    return errors


def _series(series: Any) -> list[FieldError]:
    if series is None:
        return []
    errors = [bad("series.count", "", "should be at least 2")] if series.get("count", 0) < 2 else []
    if series.get("lastObservedTime") is None:
        errors.append(required("series.lastObservedTime"))
    return errors


def event_update(new: Object, old: Object) -> list[FieldError]:
    """Of events.k8s.io: only the series goes on."""
    errors = _series(new.get("series")) if new.get("series") != old.get("series") else []
    for key in _FIXED:
        errors += immutable(new.get(key) or None, old.get(key) or None, key)
    for key, shown in (("reportingComponent", "reportingController"), ("reportingInstance", "reportingInstance")):
        errors += immutable(new.get(key) or "", old.get(key) or "", shown)
    return errors
