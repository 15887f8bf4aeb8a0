"""TLS that is not ours to end: connections whose server name belongs to a passthrough Route go on as they are.

The name is read from the ClientHello (RFC 8446, 4.1.2; RFC 6066, 3) while the bytes stay in the socket, so that
whoever gets the connection sees all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Sequence

from panal.addresses import real_port
from panal.tasks import cancel, spawn

from .routes import Address

HELLO_SECONDS = 10.0
MAX_HELLO = 16 * 1024 + 5
CONNECT_SECONDS = 5.0
IDLE_SECONDS = 3600.0
MAX_PIPES = 4096

_log = logging.getLogger(__name__)
Find = Callable[[str], Sequence[Address] | None]
"""Where the connections of a server name go; None: they end here."""


def server_name(data: bytes) -> str | None:
    """The name in a ClientHello, empty where it has none. None: more bytes are needed. Raises ValueError."""
    if len(data) < 5:
        return None
    if data[0] != 22 or data[1] != 3:
        raise ValueError("no TLS handshake")
    length = int.from_bytes(data[3:5], "big")
    if len(data) < 5 + length:
        return None
    hello = data[5 : 5 + length]
    if not hello or hello[0] != 1:
        raise ValueError("no ClientHello")
    at = 4 + 2 + 32
    for width in (1, 2, 1):  # session id, cipher suites, compression methods
        at += width + int.from_bytes(hello[at : at + width], "big")
    end = at + 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 2
    while at + 4 <= min(end, len(hello)):
        kind, size = int.from_bytes(hello[at : at + 2], "big"), int.from_bytes(hello[at + 2 : at + 4], "big")
        if kind == 0:
            name = hello[at + 9 : at + 4 + size]
            return name.decode("ascii", "replace").lower().rstrip(".")
        at += 4 + size
    return ""


class TLSListener:
    """Accepts on a listening socket; `factory` makes the protocol of connections whose TLS ends here."""

    def __init__(
        self,
        sock: socket.socket,
        factory: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        peeks: Callable[[], bool],
        find: Find,
    ) -> None:
        """`peeks` tells whether there is any name to look for."""
        self._sock, self._factory, self._context = sock, factory, context
        self._peeks, self._find = peeks, find
        self._loop = asyncio.get_running_loop()
        self._pipes: set[asyncio.Task[None]] = set()
        self._sock.setblocking(False)
        self._loop.add_reader(self._sock, self._accept)

    def close(self) -> None:
        self._loop.remove_reader(self._sock)
        self._sock.close()

    async def ended(self) -> None:
        """Break what is passed through."""
        for task in list(self._pipes):
            await cancel(task)

    def _accept(self) -> None:
        for _ in range(64):
            try:
                connection, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # out of descriptors: what waits is taken when there are some again
                _log.error("accepting: %s", error)
                self._loop.remove_reader(self._sock)
                self._loop.call_later(1.0, self._again)
                return
            connection.setblocking(False)
            spawn(self._serve(connection), name="a TLS connection")

    def _again(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            self._loop.add_reader(self._sock, self._accept)

    async def _serve(self, connection: socket.socket) -> None:
        try:
            targets = self._find(await self._name(connection)) if self._peeks() else None
            if targets is not None:
                await self._pass_on(connection, targets)
                return
            await self._loop.connect_accepted_socket(
                self._factory, connection, ssl=self._context, ssl_handshake_timeout=HELLO_SECONDS
            )
        except (OSError, ValueError, TimeoutError):
            connection.close()

    async def _name(self, connection: socket.socket) -> str:
        """Raises ValueError, OSError and TimeoutError."""
        seen = -1
        async with asyncio.timeout(HELLO_SECONDS):
            while True:
                await self._readable(connection)
                data = connection.recv(MAX_HELLO, socket.MSG_PEEK)
                if (found := server_name(data)) is not None:
                    return found
                if not data or len(data) >= MAX_HELLO:
                    raise ValueError("no whole ClientHello")
                if len(data) == seen:
                    await asyncio.sleep(0.01)  # a peeked socket stays readable: there is no event for more
                seen = len(data)

    async def _readable(self, connection: socket.socket) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(connection, _settle, ready)
        try:
            await ready
        finally:
            self._loop.remove_reader(connection)

    async def _pass_on(self, connection: socket.socket, targets: Sequence[Address]) -> None:
        task = asyncio.current_task()
        if task is None or len(self._pipes) >= MAX_PIPES:
            connection.close()
            return
        self._pipes.add(task)
        try:
            reader, writer = await asyncio.open_connection(sock=connection)
            try:
                await _join(reader, writer, targets)
            finally:
                writer.close()
        finally:
            self._pipes.discard(task)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, targets: Sequence[Address]) -> None:
    for host, port in targets:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                there, back = await asyncio.open_connection(host, real_port(port) if host.startswith("127.") else port)
        except (OSError, TimeoutError) as error:
            _log.warning("passthrough: endpoint %s:%d: %s", host, port, error or "timed out")
            continue
        try:
            await _both(reader, back, there, writer)
        finally:
            back.close()
        return


async def _both(
    reader: asyncio.StreamReader, back: asyncio.StreamWriter, there: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(IDLE_SECONDS) as patience:

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(1 << 16):
                patience.reschedule(loop.time() + IDLE_SECONDS)
                sink.write(data)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()

        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(copy(reader, back), name="passed on")
                group.create_task(copy(there, writer), name="passed back")
