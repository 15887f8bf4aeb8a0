"""Filters and scores about resources: does the pod fit, and how full and how evenly full is the node then."""

from __future__ import annotations

from collections.abc import Mapping

from ..resources import ports_clash
from ..snapshot import NodeInfo, PodInfo, Snapshot
from .contract import Alone, Check, Refusal, ScoreFactory


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


def allocated(weights: Mapping[str, int], *, most: bool = False) -> ScoreFactory:
    """A score for how much of the weighted resources would stay free, or, with `most`, be taken.

    Where a pod asks for none of a resource other than CPU and memory, that one does not count.
    """

    def prepare(pod: PodInfo, snapshot: Snapshot) -> Alone:
        wanted = [
            (name, pod.scored.get(name, 0), weight)
            for name, weight in weights.items()
            if name in ("cpu", "memory") or pod.scored.get(name)
        ]

        def score(info: NodeInfo) -> float:
            total, sum_ = 0.0, 0
            for name, asked, weight in wanted:
                room = info.allocatable.get(name, 0)
                if room > 0:
                    left = room - info.scored.get(name, 0) - asked
                    if left >= 0:
                        total += weight * ((room - left if most else left) * 100.0 / room)
                    sum_ += weight
            return total / sum_ if sum_ else 0.0

        return Alone(score)

    return prepare


least_allocated = allocated({"cpu": 1, "memory": 1})
"""The more CPU and memory would stay free, the better."""


def balanced_allocation(pod: PodInfo, snapshot: Snapshot) -> Alone | None:
    """Nodes where CPU and memory would be used in equal shares. A pod that asks for nothing changes no balance."""
    if not pod.requests:
        return None
    cpu, memory = pod.requests.get("cpu", 0), pod.requests.get("memory", 0)

    def balance(info: NodeInfo) -> float:
        cores, bytes_ = info.allocatable.get("cpu", 0), info.allocatable.get("memory", 0)
        if cores <= 0 or bytes_ <= 0:
            return 100.0
        first = min(1.0, (info.requested.get("cpu", 0) + cpu) / cores)
        second = min(1.0, (info.requested.get("memory", 0) + memory) / bytes_)
        return (1.0 - abs(first - second) / 2) * 100.0

    return Alone(balance)
