"""Which pods of lower priority would have to leave so that a pod fits. Pure.

https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from panal.selectors import from_label_selector

from .decide import Refused, feasible_nodes
from .snapshot import NodeInfo, Object, PodInfo, Snapshot


@dataclass(frozen=True)
class Preemption:
    node: str
    victims: tuple[PodInfo, ...]
    violations: int = 0
    """Victims whose disruption budget does not allow it: they are taken only where there is no other way."""


def preempt(pod: PodInfo, snapshot: Snapshot, refused: Refused) -> Preemption | None:
    """The node where the least important pods have to go; None if no eviction helps, or the pod's policy forbids it."""
    if not refused.preempts:
        return None
    helpful = [name for name, refusal in refused.refusals.items() if not refusal.final]
    found = [choice for name in helpful if (choice := _victims(pod, snapshot, name)) is not None]
    return min(found, key=_cost, default=None)


def is_under_way(pod: PodInfo, snapshot: Snapshot) -> bool:
    """Pods of lower priority are leaving the node it was promised: wait for that rather than evict more."""
    promised = (pod.obj.get("status") or {}).get("nominatedNodeName")
    info = snapshot.nodes.get(str(promised))
    return info is not None and any(other.deleting and other.priority < pod.priority for other in info.pods.values())


def _cost(found: Preemption) -> tuple[int, int, int, int, str]:
    priorities = [victim.priority for victim in found.victims]
    return found.violations, max(priorities), sum(priorities), len(priorities), found.node


def _victims(pod: PodInfo, snapshot: Snapshot, name: str) -> Preemption | None:
    """Starting without any pod of lower priority, those are let back in that still fit: first those that a budget
    protects, and among them the most important.
    """
    info = snapshot.nodes[name]
    lower = sorted(
        (other for other in info.pods.values() if other.priority < pod.priority),
        key=lambda other: (-other.priority, other.name),
    )
    bare = _without(info, lower)
    if not lower or not _fits(pod, snapshot, bare):
        return None
    protected = _protected(lower, snapshot.budgets)
    victims = []
    for other in sorted(lower, key=lambda other: other.uid not in protected):
        fuller = bare.with_pod(other)
        if _fits(pod, snapshot, fuller):
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


def _fits(pod: PodInfo, snapshot: Snapshot, info: NodeInfo) -> bool:
    feasible, _ = feasible_nodes(pod, replace(snapshot, nodes={**snapshot.nodes, info.name: info}))
    return any(each.name == info.name for each in feasible)
