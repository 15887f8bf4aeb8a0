"""Which pods of lower priority would have to leave so that a pod fits. Pure.

https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .decide import Refused, feasible_nodes
from .snapshot import NodeInfo, PodInfo, Snapshot


@dataclass(frozen=True)
class Preemption:
    node: str
    victims: tuple[PodInfo, ...]


def preempt(pod: PodInfo, snapshot: Snapshot, refused: Refused) -> Preemption | None:
    """The node where the least important pods have to go; None if no eviction helps, or the pod's policy forbids it."""
    if not refused.preempts:
        return None
    helpful = [name for name, refusal in refused.refusals.items() if not refusal.final]
    found = [Preemption(name, victims) for name in helpful if (victims := _victims(pod, snapshot, name))]
    return min(found, key=_cost, default=None)


def is_under_way(pod: PodInfo, snapshot: Snapshot) -> bool:
    """Pods of lower priority are leaving the node it was promised: wait for that rather than evict more."""
    promised = (pod.obj.get("status") or {}).get("nominatedNodeName")
    info = snapshot.nodes.get(str(promised))
    return info is not None and any(other.deleting and other.priority < pod.priority for other in info.pods.values())


def _cost(found: Preemption) -> tuple[int, int, int, str]:
    priorities = [victim.priority for victim in found.victims]
    return max(priorities), sum(priorities), len(priorities), found.node


def _victims(pod: PodInfo, snapshot: Snapshot, name: str) -> tuple[PodInfo, ...]:
    """Starting without any pod of lower priority, those are let back in that still fit, the most important first."""
    info = snapshot.nodes[name]
    lower = sorted(
        (other for other in info.pods.values() if other.priority < pod.priority),
        key=lambda other: (-other.priority, other.name),
    )
    bare = _without(info, lower)
    if not lower or not _fits(pod, snapshot, bare):
        return ()
    victims = []
    for other in lower:
        fuller = bare.with_pod(other)
        if _fits(pod, snapshot, fuller):
            bare = fuller
        else:
            victims.append(other)
    return tuple(victims)


def _without(info: NodeInfo, pods: Iterable[PodInfo]) -> NodeInfo:
    for other in pods:
        info = info.without_pod(other.uid)
    return info


def _fits(pod: PodInfo, snapshot: Snapshot, info: NodeInfo) -> bool:
    feasible, _ = feasible_nodes(pod, Snapshot({**snapshot.nodes, info.name: info}))
    return any(each.name == info.name for each in feasible)
