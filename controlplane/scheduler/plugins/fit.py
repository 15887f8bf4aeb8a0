"""Filters and scores about resources: does the pod fit, and how full and how evenly full is the node then."""

from __future__ import annotations

from collections.abc import Sequence

from ..resources import ports_clash
from ..snapshot import NodeInfo, PodInfo, Snapshot
from .contract import Check, Refusal


def resources_fit(pod: PodInfo, snapshot: Snapshot) -> Check | None:
    wanted = sorted(pod.requests.items())

    def check(info: NodeInfo) -> Refusal | None:
        reasons = []
        if len(info.pods) + 1 > info.allocatable.get("pods", 0):
            reasons.append("Too many pods")
        final = False
        for name, amount in wanted:
            room = info.allocatable.get(name, 0)
            if amount > room - info.requested.get(name, 0):
                reasons.append(f"Insufficient {name}")
                final = final or amount > room
        return Refusal(tuple(reasons), final) if reasons else None

    return check


def ports_free(pod: PodInfo, snapshot: Snapshot) -> Check | None:
    if not pod.ports:
        return None
    refusal = Refusal(("node(s) didn't have free ports for the requested pod ports",))

    def check(info: NodeInfo) -> Refusal | None:
        taken = {port for other in info.pods.values() for port in other.ports}
        return refusal if ports_clash(pod.ports, taken) else None

    return check


def least_allocated(pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]) -> Sequence[float] | None:
    """The more CPU and memory would stay free, the better."""
    return [_free(pod, info) for info in nodes]


def _free(pod: PodInfo, info: NodeInfo) -> float:
    total = weights = 0.0
    for name in ("cpu", "memory"):
        room = info.allocatable.get(name, 0)
        if room > 0:
            used = info.scored.get(name, 0) + pod.scored.get(name, 0)
            total += max(0.0, (room - used) * 100.0 / room)
            weights += 1
    return total / weights if weights else 0.0


def balanced_allocation(pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]) -> Sequence[float] | None:
    """Nodes where CPU and memory would be used in equal shares. A pod that asks for nothing changes no balance."""
    if not pod.requests:
        return None
    return [_balance(pod, info) for info in nodes]


def _balance(pod: PodInfo, info: NodeInfo) -> float:
    shares = [
        min(1.0, (info.requested.get(name, 0) + pod.requests.get(name, 0)) / room)
        for name in ("cpu", "memory")
        if (room := info.allocatable.get(name, 0)) > 0
    ]
    deviation = abs(shares[0] - shares[1]) / 2 if len(shares) == 2 else 0.0
    return (1.0 - deviation) * 100.0
