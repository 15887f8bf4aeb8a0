"""Which endpoint is next. Pure: the time is an argument.

Round robin; with affinity a client keeps its endpoint until it has been away for so many seconds, and the table of
clients is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

Target = tuple[str, int]

CLIENTS_REMEMBERED = 65536
"""Of one frontend with affinity; the one longest away is forgotten first."""


@dataclass(frozen=True, slots=True)
class Backends:
    """Where a frontend's connections go."""

    targets: tuple[Target, ...]
    affinity_seconds: int = 0
    allowed: tuple[str, ...] = ()
    """CIDRs that clients must be of; empty: all may come."""
    leaving: tuple[Target, ...] | None = None
    """Endpoints that get no new connections while theirs go on; those to any other are cut. None: none is ever cut.
    Without `targets` nobody listens."""


class Balancer:
    """The turn of one frontend."""

    def __init__(self, backends: Backends, start: int = 0) -> None:
        self._turn = start
        self._clients: OrderedDict[str, tuple[Target, float]] = OrderedDict()
        self.update(backends)

    def update(self, backends: Backends) -> None:
        """The turn goes on where it was; clients of endpoints that left are free again."""
        self._targets = backends.targets
        self._affinity = backends.affinity_seconds
        self._allowed = tuple(IPv4Network(cidr) for cidr in backends.allowed)
        kept = set(backends.targets) if self._affinity else set()
        for client in [client for client, (target, _) in self._clients.items() if target not in kept]:
            del self._clients[client]

    def __contains__(self, target: Target) -> bool:
        return target in self._targets

    @property
    def targets(self) -> tuple[Target, ...]:
        return self._targets

    def admits(self, client: str) -> bool:
        return not self._allowed or any(IPv4Address(client) in network for network in self._allowed)

    def choices(self, client: str, now: float) -> Sequence[Target]:
        """The endpoint whose turn it is, then the others to try when it refuses."""
        targets = self._targets
        if not targets:
            return ()
        first = self._turn % len(targets)
        if self._affinity and (kept := self._clients.get(client)) and now - kept[1] <= self._affinity:
            first = targets.index(kept[0])
        else:
            self._turn = first + 1
        return targets[first:] + targets[:first] if len(targets) > 1 else targets

    def settled(self, client: str, target: Target, now: float) -> None:
        """The client's connection reached this endpoint."""
        if self._affinity and target in self._targets:
            self._clients[client] = (target, now)
            self._clients.move_to_end(client)
            if len(self._clients) > CLIENTS_REMEMBERED:
                self._clients.popitem(last=False)
