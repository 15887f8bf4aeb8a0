"""How fast a HorizontalPodAutoscaler may go: stabilization windows, scaling policies, minimum and maximum. Pure.

https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#configurable-scaling-behavior
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from panal.quantity import parse

from ..meta import Object, spec
from .utilization import Tolerance

DOWN_WINDOW = 300.0
"""Seconds a recommendation holds a shrinking back where nothing else is said."""
UP_POLICIES: tuple[Object, ...] = (
    {"type": "Pods", "value": 4, "periodSeconds": 15},
    {"type": "Percent", "value": 100, "periodSeconds": 15},
)
DOWN_POLICIES: tuple[Object, ...] = ({"type": "Percent", "value": 100, "periodSeconds": 15},)

Said = tuple[str, str, str]
"""(status, reason, message) of a condition."""

WITHIN: Said = ("False", "DesiredWithinRange", "the desired count is within the acceptable range")
TOO_MANY: Said = ("True", "TooManyReplicas", "the desired replica count is more than the maximum replica count")
TOO_FEW: Said = ("True", "TooFewReplicas", "the desired replica count is less than the minimum replica count")
UP_LIMIT: Said = ("True", "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
DOWN_LIMIT: Said = (
    "True",
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
)
READY: Said = ("True", "ReadyForNewScale", "recommended size matches current size")
UP_STABILIZED: Said = (
    "True",
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
DOWN_STABILIZED: Said = (
    "True",
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)


@dataclass
class Memory:
    """What an autoscaler remembers between two looks; lost with the process, as upstream's."""

    recommendations: list[tuple[float, int]] = field(default_factory=list)
    """(when, replicas)"""
    changes: list[tuple[float, int]] = field(default_factory=list)
    """(when, replicas added; negative for taken away)"""

    def forget(self, before: float) -> None:
        self.recommendations = [item for item in self.recommendations if item[0] >= before]
        self.changes = [item for item in self.changes if item[0] >= before]


@dataclass(frozen=True)
class Outcome:
    replicas: int
    able: Said
    """AbleToScale"""
    limited: Said
    """ScalingLimited"""


def rules(hpa: Object, direction: str) -> Object:
    """The rules of scaleUp or scaleDown, with defaults."""
    given = (spec(hpa).get("behavior") or {}).get(direction) or {}
    up = direction == "scaleUp"
    window = given.get("stabilizationWindowSeconds")
    return {
        "window": float(window) if window is not None else (0.0 if up else DOWN_WINDOW),
        "select": given.get("selectPolicy") or "Max",
        "policies": given.get("policies") or (UP_POLICIES if up else DOWN_POLICIES),
    }


def tolerance(hpa: Object) -> Tolerance:
    found = {}
    for direction, name in (("scaleDown", "down"), ("scaleUp", "up")):
        given = ((spec(hpa).get("behavior") or {}).get(direction) or {}).get("tolerance")
        if given is not None:
            found[name] = float(parse(str(given)))
    return Tolerance(**found)


def minimum(hpa: Object) -> int:
    value = spec(hpa).get("minReplicas")
    return 1 if value is None else int(value)


def limit(hpa: Object, current: int, desired: int, memory: Memory, now: float) -> Outcome:
    """The size to go to now, of `current` pods, where the metrics ask for `desired`."""
    up, down = rules(hpa, "scaleUp"), rules(hpa, "scaleDown")
    steady, able = _stabilized(current, desired, memory.recommendations, up["window"], down["window"], now)
    memory.recommendations.append((now, desired))
    most, least = int(spec(hpa).get("maxReplicas") or 1), minimum(hpa)
    if steady > current:
        if spec(hpa).get("behavior"):
            ceiling = max(current, _up_limit(current, memory.changes, up, now))
        else:
            ceiling = max(2 * current, 4)
        allowed, why = (ceiling, UP_LIMIT) if most > ceiling else (most, TOO_MANY)
        return Outcome(*((allowed, able, why) if steady > allowed else (steady, able, WITHIN)))
    if steady < current:
        floor = min(current, _down_limit(current, memory.changes, down, now)) if spec(hpa).get("behavior") else 0
        allowed, why = (floor, DOWN_LIMIT) if least < floor else (least, TOO_FEW)
        return Outcome(*((allowed, able, why) if steady < allowed else (steady, able, WITHIN)))
    if desired > most and steady == most:
        return Outcome(steady, able, TOO_MANY)
    if desired < least and steady == least:
        return Outcome(steady, able, TOO_FEW)
    return Outcome(steady, able, WITHIN)


def _stabilized(
    current: int, desired: int, recent: Sequence[tuple[float, int]], up: float, down: float, now: float
) -> tuple[int, Said]:
    lowest = min([desired, *(size for at, size in recent if at > now - up)])
    highest = max([desired, *(size for at, size in recent if at > now - down)])
    found = min(max(current, lowest), highest)
    if found == desired:
        return found, READY
    return found, UP_STABILIZED if desired >= current else DOWN_STABILIZED


def _period_start(current: int, changes: Sequence[tuple[float, int]], policy: Mapping[str, object], now: float) -> int:
    since = now - float(str(policy.get("periodSeconds") or 15))
    return current - sum(change for at, change in changes if at > since)


def _up_limit(current: int, changes: Sequence[tuple[float, int]], found: Object, now: float) -> int:
    if found["select"] == "Disabled":
        return current
    sizes = []
    for policy in found["policies"]:
        start, value = _period_start(current, changes, policy, now), int(policy["value"])
        sizes.append(start + value if policy["type"] == "Pods" else math.ceil(start * (100 + value) / 100))
    return min(sizes) if found["select"] == "Min" else max(sizes)


def _down_limit(current: int, changes: Sequence[tuple[float, int]], found: Object, now: float) -> int:
    if found["select"] == "Disabled":
        return current
    sizes = []
    for policy in found["policies"]:
        start, value = _period_start(current, changes, policy, now), int(policy["value"])
        sizes.append(start - value if policy["type"] == "Pods" else start * (100 - value) // 100)
    return max(sizes) if found["select"] == "Min" else min(sizes)
