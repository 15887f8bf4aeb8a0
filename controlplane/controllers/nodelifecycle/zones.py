"""How fast nodes may be given up, zone by zone: where most of a zone is silent, the network is likelier to blame. Pure.

https://kubernetes.io/docs/concepts/architecture/nodes/#rate-limits-on-eviction
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from ..meta import Object, labels

REGION, ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
FEW = 2
"""So many nodes that are not ready are no disruption of a zone, whatever its size."""


class State(Enum):
    NORMAL = "Normal"
    PARTIAL = "PartialDisruption"
    FULL = "FullDisruption"


@dataclass(frozen=True)
class Limits:
    """kube-controller-manager's flags of the same names; rates in nodes a second."""

    node_eviction_rate: float = 0.1
    secondary_node_eviction_rate: float = 0.01
    unhealthy_zone_threshold: float = 0.55
    large_cluster_size_threshold: int = 50


def zone_of(node: Object) -> str:
    return f"{labels(node).get(REGION, '')}/{labels(node).get(ZONE, '')}"


def state(ready: int, unready: int, threshold: float) -> State:
    if unready and not ready:
        return State.FULL
    if unready > FEW and unready / (ready + unready) >= threshold:
        return State.PARTIAL
    return State.NORMAL


class Zones:
    """Which nodes are ready, by zone, and when the next of a zone may be given up."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._nodes: dict[str, tuple[str, bool]] = {}
        """Node -> its zone, and whether it is ready."""
        self._ready: Counter[str] = Counter()
        self._unready: Counter[str] = Counter()
        self._last: dict[str, float] = {}
        """Zone -> when a node of it was given up last."""

    def see(self, name: str, zone: str, ready: bool) -> bool:
        """A node as it is now. Whether that changes how fast any node may be given up."""
        before = self._states()
        self._drop(name)
        self._nodes[name] = zone, ready
        (self._ready if ready else self._unready)[zone] += 1
        return self._states() != before

    def forget(self, name: str) -> bool:
        """The node is gone."""
        before = self._states()
        self._drop(name)
        return self._states() != before

    def unready(self) -> list[str]:
        return [name for name, (_, ready) in self._nodes.items() if not ready]

    def all_disrupted(self) -> bool:
        """No node anywhere is ready: it must be this controller that is cut off, and nobody is given up."""
        return bool(self._nodes) and all(found is State.FULL for found in self._states().values())

    def wait(self, name: str, now: float) -> float | None:
        """Seconds until the node may be given up; None for not as things are. At 0 it counts as done."""
        zone = self._nodes[name][0]
        rate = self._rate(zone)
        if not rate:
            return None
        left = self._last.get(zone, -1e18) + 1 / rate - now
        if left > 0:
            return left
        self._last[zone] = now
        return 0.0

    def _rate(self, zone: str) -> float:
        if self.all_disrupted():
            return 0.0
        found = self._states()[zone]
        if found is not State.PARTIAL:
            return self._limits.node_eviction_rate
        large = self._ready[zone] + self._unready[zone] > self._limits.large_cluster_size_threshold
        return self._limits.secondary_node_eviction_rate if large else 0.0

    def _states(self) -> dict[str, State]:
        threshold = self._limits.unhealthy_zone_threshold
        zones = {*self._ready, *self._unready}
        return {zone: state(self._ready[zone], self._unready[zone], threshold) for zone in zones}

    def _drop(self, name: str) -> None:
        if (found := self._nodes.pop(name, None)) is None:
            return
        zone, ready = found
        counts = self._ready if ready else self._unready
        counts[zone] -= 1
        if not counts[zone]:
            del counts[zone]
