"""What all connections of the ingress share: the table, the backends' connections, turns, counts and limits."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from .accesslog import AccessLog
from .forwarding import Peer
from .routes import Address, Backend, Route, RouteTable
from .traces import Traces
from .upstreams import Pool
from .users import Passwords

if TYPE_CHECKING:
    from .downstream import Downstream, Timeouts
    from .exchange import Exchange

MAX_CONNECTIONS = 16384


class Proxy:
    """One ingress. `apply` makes a table the whole truth; requests under way are not disturbed."""

    def __init__(
        self,
        timeouts: Timeouts,
        *,
        pool: Pool | None = None,
        log: AccessLog | None = None,
        trust_forwarded: bool = False,
        max_connections: int = MAX_CONNECTIONS,
        rng: random.Random | None = None,
    ) -> None:
        self.timeouts = timeouts
        self.table = RouteTable()
        self.pool = pool or Pool()
        self.trust_forwarded = trust_forwarded
        self.closing = False
        self.requests: Counter[tuple[str, str, str, int]] = Counter()
        """Requests by (Ingress, backend, method, status)."""
        self.bad_requests: Counter[int] = Counter()
        self._log = log
        self._max = max_connections
        self._connections: set[Downstream] = set()
        self._all_left: asyncio.Event | None = None
        """Set while closing, when the last connection is gone."""
        self._turns: dict[str, int] = {}
        self._credits: dict[str, dict[str, int]] = {}
        """Of split routes: what each backend has been left behind its weight."""
        rng = rng or random.Random()
        self._random = rng.getrandbits
        self.draw: Callable[[], float] = rng.random
        self.wall_clock: Callable[[], float] = time.time
        self.passwords = Passwords()
        self.traces = Traces()
        self._clock: Callable[[], float] = asyncio.get_running_loop().time

    def apply(self, table: RouteTable) -> None:
        self.table = table
        self._credits.clear()
        self.pool.retain(table.backends)

    def turn(self, backend: Backend) -> list[Address]:
        """The backend's endpoints in the order they are to be tried: each request begins with the next one."""
        endpoints = backend.endpoints
        if len(endpoints) < 2:
            return list(endpoints)
        start = self._turns.get(backend.name, -1) + 1
        if start >= len(endpoints):
            start = 0
        self._turns[backend.name] = start
        return [*endpoints[start:], *endpoints[:start]]

    def by_weight(self, route: Route) -> Backend:
        """Each backend as often as its weight says, evenly spread; one without endpoints is left out."""
        alive = [(backend, weight) for backend, weight in route.split if backend.endpoints] or route.split
        key = f"{route.ingress}{route.path}"
        credit = self._credits.setdefault(key, {})
        for backend, weight in alive:
            credit[backend.name] = credit.get(backend.name, 0) + weight
        chosen = max((backend for backend, _ in alive), key=lambda backend: credit[backend.name])
        credit[chosen.name] -= sum(weight for _, weight in alive)
        return chosen

    def now(self) -> float:
        return self._clock()

    def new_id(self) -> bytes:
        return b"%032x" % self._random(128)

    def admit(self, client: Downstream) -> bool:
        if len(self._connections) >= self._max or self.closing:
            return False
        self._connections.add(client)
        return True

    def left(self, client: Downstream) -> None:
        self._connections.discard(client)
        if self._all_left is not None and not self._connections:
            self._all_left.set()

    def finished(self, exchange: Exchange, peer: Peer) -> None:
        route = exchange.route
        method = exchange.request.method.decode("latin-1")
        known = method if method in _METHODS else "OTHER"
        self.requests[route.ingress if route else "", exchange.backend, known, exchange.status] += 1
        if self._log is not None:
            self._log.add(exchange.log_entry(self._clock(), peer.address))

    def refused(self, status: int) -> None:
        self.bad_requests[status] += 1

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def close(self, grace: float = 2.0) -> None:
        """Let requests under way finish for `grace` seconds, then break what is left."""
        self.closing = True
        for client in list(self._connections):
            if client.idle:
                client.close()
        self._all_left = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            if self._connections:
                await asyncio.wait_for(self._all_left.wait(), grace)
        for client in list(self._connections):
            client.abort()
        self.pool.close()


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
