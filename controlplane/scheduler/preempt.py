"""Which pods of lower priority would have to leave so that a pod fits. Pure.

https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from panal.selectors import from_label_selector

from .decide import Refused
from .plugins import FILTERS
from .plugins.contract import Filter
from .snapshot import NodeInfo, Object, PodInfo, Snapshot


@dataclass(frozen=True)
class Preemption:
    node: str
    victims: tuple[PodInfo, ...]
    violations: int = 0
    """Victims whose disruption budget does not allow it: they are taken only where there is no other way."""


ENOUGH_SHARE, ENOUGH = 10, 100
"""A tenth of the nodes, but at least a hundred: when so many would do, no more are looked at (upstream's
minCandidateNodesPercentage and minCandidateNodesAbsolute)."""


def preempt(
    pod: PodInfo, snapshot: Snapshot, refused: Refused, filters: Sequence[Filter] = FILTERS
) -> Preemption | None:
    """The node where the least important pods have to go; None if no eviction helps, or the pod's policy forbids it."""
    if not refused.preempts:
        return None
    found: list[Preemption] = []
    enough = max(ENOUGH, len(snapshot) // ENOUGH_SHARE)
    for name, refusal in refused.refusals.items():
        if not refusal.final and (choice := _victims(pod, snapshot, name, filters)) is not None:
            found.append(choice)
            if len(found) >= enough:
                break
    return min(found, key=_cost, default=None)


def is_under_way(pod: PodInfo, snapshot: Snapshot) -> bool:
    """Pods of lower priority are leaving the node it was promised: wait for that rather than evict more."""
    promised = (pod.obj.get("status") or {}).get("nominatedNodeName")
    info = snapshot.nodes.get(str(promised))
    return info is not None and any(other.deleting and other.priority < pod.priority for other in info.pods.values())


def _cost(found: Preemption) -> tuple[int, int, int, int, str]:
    priorities = [victim.priority for victim in found.victims]
    return found.violations, max(priorities), sum(priorities), len(priorities), found.node


def _victims(pod: PodInfo, snapshot: Snapshot, name: str, filters: Sequence[Filter]) -> Preemption | None:
    """Starting without any pod of lower priority, those are let back in that still fit: first those that a budget
    protects, and among them the most important.
    """
    info = snapshot.nodes[name]
    lower = [other for other in info.pods.values() if other.priority < pod.priority]
    if not lower:
        return None
    lower.sort(key=lambda other: (-other.priority, other.name))
    bare = _without(info, lower)
    if not _fits(pod, snapshot, bare, filters):
        return None
    protected = _protected(lower, snapshot.budgets)
    victims = []
    for other in sorted(lower, key=lambda other: other.uid not in protected):
        fuller = bare.with_pod(other)
        if _fits(pod, snapshot, fuller, filters):
            bare = fuller
        else:
            victims.append(other)
    if not victims:
        return None
    return Preemption(name, tuple(victims), sum(victim.uid in protected for victim in victims))


def _protected(pods: Iterable[PodInfo], budgets: Iterable[Object]) -> set[str]:
    """Those whose eviction, after that of the ones before them, some PodDisruptionBudget does not allow."""
    known = list(budgets)
    left = [int((budget.get("status") or {}).get("disruptionsAllowed") or 0) for budget in known]
    found = set()
    for pod in pods:
        for index, budget in enumerate(known):
            if _is_under(pod, budget):
                left[index] -= 1
                if left[index] < 0:
                    found.add(pod.uid)
    return found


def _is_under(pod: PodInfo, budget: Object) -> bool:
    """The budget means the pod, and has not counted its eviction yet."""
    selector = (budget.get("spec") or {}).get("selector")
    leaving = (budget.get("status") or {}).get("disruptedPods") or {}
    return (
        budget["metadata"].get("namespace") == pod.namespace
        and bool(selector)
        and bool(pod.labels)
        and pod.name not in leaving
        and from_label_selector(selector).matches(pod.labels)
    )


def _without(info: NodeInfo, pods: Iterable[PodInfo]) -> NodeInfo:
    for other in pods:
        info = info.without_pod(other.uid)
    return info


def _fits(pod: PodInfo, snapshot: Snapshot, info: NodeInfo, filters: Sequence[Filter]) -> bool:
    """Whether the pod could be on the node if it were as `info` says."""
    supposed: Snapshot | None = None
    for item in filters:
        if not item.local and supposed is None:
            supposed = replace(snapshot, nodes={**snapshot.nodes, info.name: info})
        check = item.prepare(pod, snapshot if item.local or supposed is None else supposed)
        if check is not None and check(info) is not None:
            return False
    return True
