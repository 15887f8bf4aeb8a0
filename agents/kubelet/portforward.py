"""Forwarded ports: every connection at the user's side is a pair of streams, one for data and one for what went wrong.

A pair shares a request id. The data stream becomes a TCP connection to the pod's own localhost, made by the runtime.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable

from panal.tasks import cancel, spawn

from ..runtime.contract import RuntimeFailure
from .descriptors import Descriptor
from .spdyserver import Connection, Stream

PROTOCOL = "portforward.k8s.io"
TUNNEL = "SPDY/3.1+portforward.k8s.io"
"""SPDY inside a WebSocket, whose messages are pieces of the connection's bytes."""
PAIR_SECONDS = 30.0
"""How long the second stream of a pair may take to come."""
MAX_UNPAIRED = 256

Dial = Callable[[int], Awaitable[int]]
"""A connection to the port, as a non-blocking descriptor. Raises RuntimeFailure."""


class Forwarder:
    """Serves one user's connection until it ends."""

    def __init__(self, connection: Connection, dial: Dial, pod: str) -> None:
        """`pod` is how messages name it."""
        self._connection, self._dial, self._pod = connection, dial, pod
        self._waiting: dict[str, tuple[Stream, asyncio.TimerHandle]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            while (stream := await self._connection.accept()) is not None:
                await self._opened(stream)
        finally:
            for _, timer in self._waiting.values():
                timer.cancel()
            for task in tuple(self._tasks):
                await cancel(task)

    async def _opened(self, stream: Stream) -> None:
        port, kind = port_of(stream), stream.headers.get("streamtype", "")
        if port is None or kind not in ("data", "error") or len(self._waiting) >= MAX_UNPAIRED:
            await stream.reset()
            return
        # Clients that send no request id open the error stream first, and its pair right after it.
        request = stream.headers.get("requestid") or str(stream.number if kind == "error" else stream.number - 2)
        if request not in self._waiting:
            timer = asyncio.get_running_loop().call_later(PAIR_SECONDS, self._late, request)
            self._waiting[request] = (stream, timer)
            return
        other, timer = self._waiting.pop(request)
        timer.cancel()
        if other.headers.get("streamtype") == kind:
            await other.reset()
            await stream.reset()
            return
        data, errors = (stream, other) if kind == "data" else (other, stream)
        self._start(self._forward(port, data, errors), f"forward to port {port}")

    def _late(self, request: str) -> None:
        stream, _ = self._waiting.pop(request)
        self._start(stream.reset(), "reset a lone stream")

    def _start(self, job: Awaitable[None], name: str) -> None:
        task = spawn(_quietly(job), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, port: int, data: Stream, errors: Stream) -> None:
        try:
            number = await self._dial(port)
        except RuntimeFailure as failure:
            await errors.finish(f"error forwarding port {port} to pod {self._pod}: {failure}".encode())
            await data.finish()
            return
        try:
            await _join(number, data)
        finally:
            os.close(number)
        await data.finish()
        await errors.finish()


def port_of(stream: Stream) -> int | None:
    """The port that a stream is for."""
    text = stream.headers.get("port", "")
    port = int(text) if text.isdecimal() and len(text) <= 5 else 0
    return port if 0 < port < 65536 else None


async def _join(number: int, data: Stream) -> None:
    """Until the pod has said all, or the user's connection has gone; the user may finish first and go on listening."""
    sending = spawn(_send(number, data), name="to the pod")
    try:
        descriptor = Descriptor(number)
        while chunk := await descriptor.read():
            await data.write(chunk)
    except ConnectionError:
        await data.reset()
    finally:
        await cancel(sending)


async def _send(number: int, data: Stream) -> None:
    descriptor = Descriptor(number)
    with contextlib.suppress(OSError):
        while chunk := await data.read():
            await descriptor.write(chunk)
        with socket.socket(fileno=os.dup(number)) as connection:
            connection.shutdown(socket.SHUT_RDWR if data.over else socket.SHUT_WR)


async def _quietly(job: Awaitable[None]) -> None:
    with contextlib.suppress(ConnectionError):
        await job
