"""What the use of a resource by some pods says about how many there should be. Pure.

https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#algorithm-details. Amounts are in
thousandths of the resource's unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from panal.durations import seconds
from panal.quantity import milli

from ..meta import Object, condition, is_deleting, name, parse_time, spec, status
from ..pods import phase

CPU_INITIALIZATION = 300.0
"""Seconds after its start in which a pod's cpu counts only when measured while it was ready."""
INITIAL_READINESS = 30.0
"""Seconds in which a pod that has not been ready yet counts as still starting."""


class Unknown(Exception):
    """No number can be given; the message says why, in Kubernetes' words."""


@dataclass(frozen=True)
class Measured:
    """One pod's use, over the `window` seconds that ended `at`."""

    amount: int
    at: float
    window: float


@dataclass(frozen=True)
class Tolerance:
    """How far from 1 the ratio of use to target may be before anything changes."""

    down: float = 0.1
    up: float = 0.1

    def holds(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True)
class Proposal:
    replicas: int
    average: int
    """Thousandths a pod."""
    percent: int | None = None
    """Of the request."""


@dataclass(frozen=True)
class Groups:
    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def measurements(items: Sequence[Object], resource: str, container: str = "") -> dict[str, Measured]:
    """PodMetrics (metrics.k8s.io/v1beta1) by pod; pods of which a container's use is not known are left out."""
    found: dict[str, Measured] = {}
    for item in items:
        amounts: list[int] = []
        containers = item.get("containers") or []
        for each in containers:
            if container and each.get("name") != container:
                continue
            amount = (each.get("usage") or {}).get(resource)
            if amount is None:
                break
            amounts.append(milli(str(amount)))
        else:
            if amounts:
                found[name(item)] = Measured(sum(amounts), parse_time(item.get("timestamp")) or 0.0, _window(item))
    return found


def _window(item: Object) -> float:
    try:
        return seconds(str(item.get("window") or ""))
    except ValueError:
        return 0.0


def group(pods: Sequence[Object], measured: Mapping[str, Measured], resource: str, now: float) -> Groups:
    ready = 0
    unready: set[str] = set()
    missing: set[str] = set()
    ignored: set[str] = set()
    for pod in pods:
        if is_deleting(pod) or phase(pod) == "Failed":
            ignored.add(name(pod))
        elif phase(pod) == "Pending":
            unready.add(name(pod))
        elif name(pod) not in measured:
            missing.add(name(pod))
        elif resource == "cpu" and _is_starting(pod, measured[name(pod)], now):
            unready.add(name(pod))
        else:
            ready += 1
    return Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _is_starting(pod: Object, measured: Measured, now: float) -> bool:
    found, began = condition(status(pod).get("conditions"), "Ready"), parse_time(status(pod).get("startTime"))
    if found is None or began is None:
        return True
    changed = parse_time(found.get("lastTransitionTime")) or 0.0
    if began + CPU_INITIALIZATION > now:
        return found.get("status") == "False" or measured.at < changed + measured.window
    return found.get("status") == "False" and began + INITIAL_READINESS > changed


def requests(pods: Sequence[Object], resource: str, container: str = "") -> dict[str, int]:
    """Each pod's request. Raises Unknown where one is missing."""
    found: dict[str, int] = {}
    for pod in pods:
        total = 0
        sidecars = [item for item in spec(pod).get("initContainers") or () if item.get("restartPolicy") == "Always"]
        for each in [*(spec(pod).get("containers") or ()), *sidecars]:
            if container and each.get("name") != container:
                continue
            amount = ((each.get("resources") or {}).get("requests") or {}).get(resource)
            if amount is None:
                raise Unknown(f"missing request for {resource} in container {each.get('name')} of Pod {name(pod)}")
            total += milli(str(amount))
        found[name(pod)] = total
    return found


def by_percent(
    current: int, target: int, pods: Sequence[Object], measured: Mapping[str, Measured], resource: str,
    container: str, tolerance: Tolerance, now: float,
) -> Proposal:  # fmt: skip
    """For a target of `target` percent of what the pods request."""
    asked = requests(pods, resource, container)
    used, groups = _sorted(pods, measured, resource, now)

    def ratio(amounts: Mapping[str, int]) -> float:
        wanted = sum(asked.get(pod, 0) for pod in amounts)
        if wanted == 0:
            raise Unknown("no metrics returned matched known pods")
        return (sum(amounts.values()) * 100 // wanted) / target

    first = ratio(used)
    fallback = {pod: asked[pod] * max(100, target) // 100 for pod in groups.missing}
    replicas = _replicas(current, used, groups, first, fallback, ratio, tolerance)
    return Proposal(replicas, sum(used.values()) // len(used), round(first * target))


def by_amount(
    current: int, target: int, pods: Sequence[Object], measured: Mapping[str, Measured], resource: str,
    tolerance: Tolerance, now: float,
) -> Proposal:  # fmt: skip
    """For a target of `target` thousandths a pod."""
    used, groups = _sorted(pods, measured, resource, now)

    def ratio(amounts: Mapping[str, int]) -> float:
        return (sum(amounts.values()) // len(amounts)) / target

    first = ratio(used)
    fallback = dict.fromkeys(groups.missing, target)
    replicas = _replicas(current, used, groups, first, fallback, ratio, tolerance)
    return Proposal(replicas, sum(used.values()) // len(used))


def _sorted(
    pods: Sequence[Object], measured: Mapping[str, Measured], resource: str, now: float
) -> tuple[dict[str, int], Groups]:
    if not measured:
        raise Unknown(f"unable to get metrics for resource {resource}: no metrics returned from resource metrics API")
    if not pods:
        raise Unknown("no pods returned by selector while calculating replica count")
    groups = group(pods, measured, resource, now)
    there = {name(pod) for pod in pods} - groups.ignored - groups.unready
    used = {pod: each.amount for pod, each in measured.items() if pod in there}
    if not used:
        raise Unknown("did not receive metrics for targeted pods (pods might be unready)")
    return used, groups


def _replicas(
    current: int,
    used: Mapping[str, int],
    groups: Groups,
    first: float,
    fallback: Mapping[str, int],
    ratio: object,
    tolerance: Tolerance,
) -> int:
    """What is not known is taken so that it damps the change: full use when shrinking, none when growing."""
    assert callable(ratio)
    growing = bool(groups.unready) and first > 1.0
    if not growing and not groups.missing:
        return current if tolerance.holds(first) else math.ceil(first * groups.ready)
    amounts = dict(used)
    if first < 1.0:
        amounts.update(fallback)
    elif first > 1.0:
        amounts.update(dict.fromkeys(groups.missing, 0))
    if growing:
        amounts.update(dict.fromkeys(groups.unready, 0))
    second = float(ratio(amounts))
    if tolerance.holds(second) or (first < 1.0 < second) or (second < 1.0 < first):
        return current
    wanted = math.ceil(second * len(amounts))
    if (second < 1.0 and wanted > current) or (second > 1.0 and wanted < current):
        return current
    return wanted
