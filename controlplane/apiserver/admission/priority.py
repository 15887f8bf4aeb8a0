"""Priority: a pod's priority is its class's; a class says what the number means."""

from __future__ import annotations

from panal.errors import Forbidden
from panal.resources import PODS, PRIORITYCLASSES

from .attributes import Attributes, Object, Reader


def admit(attributes: Attributes, reader: Reader) -> None:
    if not attributes.creates(PODS):
        return
    spec: Object = attributes.obj.setdefault("spec", {})
    name = attributes.obj["metadata"].get("name", "")
    chosen = spec.get("priorityClassName")
    if chosen:
        found = reader.get(PRIORITYCLASSES, "", chosen)
        if found is None:
            raise _forbidden(name, f"no PriorityClass with name {chosen} was found")
    else:
        found = _default(reader)
        if found is not None:
            spec["priorityClassName"] = found["metadata"]["name"]
    value = found["value"] if found is not None else 0
    policy = (found or {}).get("preemptionPolicy") or "PreemptLowerPriority"
    if "priority" in spec and spec["priority"] is not None and spec["priority"] != value:
        why = (
            f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
            f"priority admission controller computed {value} from the given PriorityClass name"
        )
        raise _forbidden(name, why)
    spec["priority"] = value
    if spec.get("preemptionPolicy") not in (None, policy):
        why = (
            f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod spec; "
            f"priority admission controller computed {policy} from the given PriorityClass name"
        )
        raise _forbidden(name, why)
    spec["preemptionPolicy"] = policy


def _default(reader: Reader) -> Object | None:
    """The class for pods that name none: of several the one with the smallest value."""
    candidates = [item for item in reader.list(PRIORITYCLASSES) if item.get("globalDefault")]
    return min(candidates, key=lambda item: int(item["value"]), default=None)


def _forbidden(name: str, why: str) -> Forbidden:
    return Forbidden(f'pods "{name}" is forbidden: {why}', details={"name": name, "kind": "pods"})
