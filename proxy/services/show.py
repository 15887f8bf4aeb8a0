"""What `panal rules NODE` is told: the table in force, and each step from one to the next.

The words of a request: `json` (or nothing), `nft`, `flow CLIENT DESTINATION [udp]` (each
ADDRESS:PORT), and `watch`, a line of JSON a change until the client hangs up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from ipaddress import IPv4Address
from typing import Any, NamedTuple

import orjson

from panal.addresses import real_port

from ..forward.balance import Target
from ..forward.records import read_flow
from .dataplane import DataplaneError
from .listing import listing
from .render import difference, document, matching
from .table import ServiceTable

_STEPS_KEPT = 1000
"""Of a client that does not read; with more it is sent away."""
_WATCHERS = 32


class _Step(NamedTuple):
    """One `apply`: when it was done (seconds of the epoch), and how long it took (seconds)."""

    old: ServiceTable
    new: ServiceTable
    when: float
    took: float


FlowOf = Callable[[Target, Target, str], Awaitable[dict[str, Any] | None]]


class Show:
    """Keeps the table in force. `answer` is what the table's socket calls."""

    def __init__(self, table: ServiceTable, mode: str, cluster_cidr: str, flow: FlowOf | None = None) -> None:
        self._flow = flow
        self._table, self._mode, self._cidr = table, mode, cluster_cidr
        self._watchers: set[asyncio.Queue[_Step]] = set()

    def applied(self, table: ServiceTable, when: float, took: float) -> None:
        """This table is in force now."""
        step = _Step(self._table, table, when, took)
        self._table = table
        for queue in [*self._watchers]:
            try:
                queue.put_nowait(step)
            except asyncio.QueueFull:
                self._watchers.discard(queue)

    async def answer(self, request: str) -> AsyncGenerator[bytes, None]:
        if request in ("", "json"):
            yield _line(document(self._table, self._mode))
        elif request == "nft":
            yield "".join(f"{line}\n" for line in listing(self._table, self._cidr)).encode()
        elif request == "watch" and len(self._watchers) < _WATCHERS:
            queue: asyncio.Queue[_Step] = asyncio.Queue(_STEPS_KEPT)
            self._watchers.add(queue)
            try:
                yield _line({"node": self._table.node, "mode": self._mode})
                while queue in self._watchers or not queue.empty():
                    yield _changes(await queue.get())
            finally:
                self._watchers.discard(queue)
        elif request.startswith("flow "):
            yield _line(await self._told_flow(request.split()[1:]))
        else:
            yield _line({"error": "no such request" if request != "watch" else "too many watch already"})

    async def _told_flow(self, words: list[str]) -> dict[str, Any]:
        """For `panal trace`: the rule for a destination, and what became of the connection from a client to it."""
        try:
            client, destination, protocol = read_flow(words)
            for address, port in (client, destination):
                IPv4Address(address), port.to_bytes(2)
            rule = matching(self._table, destination, real_port, protocol)
            found = await self._flow(client, destination, protocol) if self._flow is not None else None
        except (ValueError, OverflowError, DataplaneError) as error:
            return {"error": str(error)}
        return {"node": self._table.node, "mode": self._mode, "rule": rule, "flow": found}


def _changes(step: _Step) -> bytes:
    about = {"time": step.when, "milliseconds": round(1e3 * step.took, 2)}
    found = difference(step.old, step.new)
    return b"".join(_line({**about, **change.document(), "text": change.text}) for change in found)


def _line(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
