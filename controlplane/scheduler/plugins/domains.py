"""Counts of pods by domain of a topology, kept up node by node: what spreading and affinity compare nodes by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable

from ..snapshot import NodeInfo

HOSTNAME = "kubernetes.io/hostname"


class Domains:
    """`count` says how many pods that matter a node has, or None for a node that does not count.

    Each node is a domain of its own for the host name: its count is what is seen of it. Of other topologies the domain
    is seen, for its count changes with every node of it.
    """

    def __init__(self, key: str, count: Callable[[NodeInfo], int | None]) -> None:
        self.key = key
        self.counts: Counter[str] = Counter()
        self._count = count
        self._here: dict[str, tuple[str, int]] = {}

    def look(self, info: NodeInfo) -> Hashable:
        domain = info.labels.get(self.key)
        if self.key == HOSTNAME:
            return None if domain is None else self._count(info) or 0
        self.forget(info.name)
        if domain is None:
            return None
        here = self._count(info)
        if here is not None:
            self._here[info.name] = domain, here
            self.counts[domain] += here
        return domain

    def forget(self, name: str) -> None:
        if (before := self._here.pop(name, None)) is not None:
            self.counts[before[0]] -= before[1]

    def of(self, seen: Hashable) -> int:
        """How many pods share the domain of a node that looked so; none where it has no domain."""
        if seen is None:
            return 0
        return seen if isinstance(seen, int) else self.counts[str(seen)]
