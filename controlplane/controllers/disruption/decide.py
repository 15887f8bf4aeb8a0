"""A PodDisruptionBudget and its pods in, its status out. Pure.

https://kubernetes.io/docs/concepts/workloads/pods/disruptions/
"""

from __future__ import annotations

from collections.abc import Sequence

from ..meta import Object, condition, is_deleting, metadata, name, parse_time, scaled_value, spec, status, timestamp
from ..pods import is_ready, is_terminal

EVICTION_TIMEOUT = 120.0
"""Seconds after which a pod whose eviction was granted, and which is still here, counts again."""


def disrupted(budget: Object, pods: Sequence[Object], now: float) -> dict[str, str]:
    """Granted evictions that have not shown yet: pod -> when it was granted."""
    here = {name(pod): pod for pod in pods}
    found = {}
    for pod, granted in (status(budget).get("disruptedPods") or {}).items():
        at = parse_time(granted)
        if pod in here and not is_deleting(here[pod]) and at is not None and at + EVICTION_TIMEOUT > now:
            found[pod] = granted
    return found


def needs_scale(budget: Object) -> bool:
    """Whether the wanted number of pods is asked of their controllers, rather than counted."""
    return spec(budget).get("maxUnavailable") is not None or isinstance(spec(budget).get("minAvailable"), str)


def desired(budget: Object, expected: int) -> int:
    most, least = spec(budget).get("maxUnavailable"), spec(budget).get("minAvailable")
    if most is not None:
        return max(0, expected - scaled_value(most, expected, round_up=True))
    return scaled_value(least, expected, round_up=True)


def new_status(budget: Object, pods: Sequence[Object], scale: int, now: float) -> Object:
    """`scale` is what the pods' controllers want together; it is used where `needs_scale` says so."""
    alive = [pod for pod in pods if not is_terminal(pod)]
    expected = scale if needs_scale(budget) else len(alive)
    leaving = disrupted(budget, alive, now)
    healthy = sum(is_ready(pod) and not is_deleting(pod) and name(pod) not in leaving for pod in alive)
    wanted = desired(budget, expected)
    allowed = max(0, healthy - wanted) if expected > 0 else 0
    out: Object = {
        "observedGeneration": metadata(budget).get("generation") or 0,
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": wanted,
        "expectedPods": expected,
        "conditions": _conditions(budget, allowed, now),
    }
    if leaving:
        out["disruptedPods"] = leaving
    return out


def _conditions(budget: Object, allowed: int, now: float) -> list[Object]:
    value, reason = ("True", "SufficientPods") if allowed > 0 else ("False", "InsufficientPods")
    generation = metadata(budget).get("generation") or 0
    found = condition(status(budget).get("conditions"), "DisruptionAllowed")
    changed = found is None or found.get("status") != value
    at = timestamp(now) if changed or found is None else found.get("lastTransitionTime")
    new = {
        "type": "DisruptionAllowed",
        "status": value,
        "observedGeneration": generation,
        "lastTransitionTime": at,
        "reason": reason,
        "message": "",
    }
    return [item for item in status(budget).get("conditions") or () if item["type"] != "DisruptionAllowed"] + [new]
