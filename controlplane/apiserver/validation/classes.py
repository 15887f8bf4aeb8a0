"""Checks of the classes that pods name: PriorityClass and RuntimeClass."""

from __future__ import annotations

from panal import formats

from ..fielderrors import FieldError, duplicate, forbidden, not_supported
from .checks import Object, formatted, items
from .meta import immutable, labels
from .resources import requirements
from .scheduling import tolerations

SYSTEM = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
"""The classes that Kubernetes itself has, and their values."""
_HIGHEST = 1_000_000_000
_POLICIES = ("PreemptLowerPriority", "Never")


def priority_class(obj: Object) -> list[FieldError]:
    name, value, policy = obj["metadata"].get("name", ""), obj.get("value", 0), obj.get("preemptionPolicy")
    errors: list[FieldError] = []
    if name.startswith("system-"):
        if why := _not_system(name, value, bool(obj.get("globalDefault"))):
            words = f"priority class names with 'system-' prefix are reserved for system use only. error: {why}"
            errors.append(forbidden("metadata.name", words))
    elif value > _HIGHEST:
        errors.append(forbidden("value", f"maximum allowed value of a user defined priority is {_HIGHEST}"))
    if policy is not None and policy not in _POLICIES:
        errors.append(not_supported("preemptionPolicy", policy, _POLICIES))
    return errors


def _not_system(name: str, value: int, default: bool) -> str:
    """Why it is none of the system's, "" if it is."""
    if name not in SYSTEM:
        return f"{name} is not a known system priority class"
    if value != SYSTEM[name]:
        return f"value of {name} PriorityClass must be {SYSTEM[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if default else ""


def priority_class_update(new: Object, old: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    if new.get("value", 0) != old.get("value", 0):
        errors.append(forbidden("value", "may not be changed in an update."))
    return errors + immutable(new.get("preemptionPolicy"), old.get("preemptionPolicy"), "preemptionPolicy")


def runtime_class(obj: Object) -> list[FieldError]:
    errors = formatted(obj.get("handler", ""), "handler", formats.label_name)
    if (overhead := obj.get("overhead")) is not None:
        errors += requirements({"limits": overhead.get("podFixed")}, "overhead")
    scheduling = obj.get("scheduling") or {}
    errors += labels(scheduling.get("nodeSelector"), "scheduling.nodeSelector")
    found = scheduling.get("tolerations") or ()
    errors += tolerations(found, "scheduling.tolerations.tolerations")
    seen: list[object] = []
    for each, where in items(found, "scheduling.tolerations"):
        key = [each.get(name) for name in ("key", "operator", "value", "effect")]
        if key in seen:
            errors.append(duplicate(where, dict(each)))
        seen.append(key)
    return errors


def runtime_class_update(new: Object, old: Object) -> list[FieldError]:
    return immutable(new.get("handler", ""), old.get("handler", ""), "handler")
