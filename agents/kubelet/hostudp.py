"""`hostPort` over UDP: a flow is a client's address, with a socket of its own towards the pod, until it is silent.

Bounded as the kernel bounds what it tracks: the flow that was silent longest goes when there are too many.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, cast

from panal import tasks

_log = logging.getLogger(__name__)

FLOWS = 1024
SILENCE = 120.0
"""Seconds until a flow is forgotten (nf_conntrack_udp_timeout_stream)."""
WAITING = 64
"""Datagrams of one client kept while its socket is being made; UDP may lose the rest."""

Address = tuple[str, int]


class _Flow(asyncio.DatagramProtocol):
    """One client's datagrams to the pod, and the pod's back."""

    def __init__(self, answer: Callable[[bytes], None]) -> None:
        self._answer = answer
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: list[bytes] = []
        self._closed = False
        self.used = time.monotonic()

    def send(self, data: bytes) -> None:
        self.used = time.monotonic()
        if self._transport is not None:
            self._transport.sendto(data)
        elif len(self._waiting) < WAITING:
            self._waiting.append(data)

    def close(self) -> None:
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        if self._closed:
            self._transport.abort()
            return
        for data in self._waiting:
            self._transport.sendto(data)
        self._waiting.clear()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.used = time.monotonic()
        self._answer(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens in the pod now; the client finds out as with any lost datagram."""


class Carrier(asyncio.DatagramProtocol):
    """What listens on the node's port; `target` is the pod's address and port."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._flows: OrderedDict[Address, _Flow] = OrderedDict()
        self._transport: asyncio.DatagramTransport | None = None
        self._sweep: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        client: Address = (addr[0], addr[1])
        if (flow := self._flows.get(client)) is None:
            flow = self._open(client)
        self._flows.move_to_end(client)
        flow.send(data)

    def error_received(self, exc: Exception) -> None:
        """A client that has gone; its flow will fall silent."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._sweep is not None:
            self._sweep.cancel()
        for flow in self._flows.values():
            flow.close()
        self._flows.clear()

    def _open(self, client: Address) -> _Flow:
        if len(self._flows) >= FLOWS:
            self._flows.popitem(last=False)[1].close()
        flow = self._flows[client] = _Flow(lambda data: self._answer(client, data))
        tasks.spawn(self._connect(client, flow), name="host port flow")
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(SILENCE, self._forget_silent)
        return flow

    async def _connect(self, client: Address, flow: _Flow) -> None:
        try:
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: flow, remote_addr=self._target)
        except OSError as error:
            _log.debug("host port to %s:%d: %s", *self._target, error)
            if self._flows.get(client) is flow:
                del self._flows[client]

    def _answer(self, client: Address, data: bytes) -> None:
        if self._transport is not None and client in self._flows:
            self._transport.sendto(data, client)
            self._flows.move_to_end(client)

    def _forget_silent(self) -> None:
        self._sweep = None
        now = time.monotonic()
        while self._flows:
            client, flow = next(iter(self._flows.items()))
            if (left := flow.used + SILENCE - now) > 0:
                self._sweep = asyncio.get_running_loop().call_later(left, self._forget_silent)
                return
            del self._flows[client]
            flow.close()
