"""A user at the other end of a SPDY connection, with a stream for each of stdin, stdout, stderr, resize and error."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiohttp import web

from panal.hijack import Hijacked
from panal.tasks import cancel, spawn

from .spdyserver import Connection, Duplex, Stream

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

CREATION_SECONDS = 30.0
"""How long the client may take to open its streams."""
_CLOSE_SECONDS = 2.0


def offered(request: web.Request) -> list[str]:
    """The protocols over SPDY that the client knows."""
    texts = request.headers.getall("X-Stream-Protocol-Version", [])
    return [word.strip() for text in texts for word in text.split(",") if word.strip()]


class RawDuplex:
    """The bytes of a hijacked connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self) -> bytes:
        return await self._reader.read(64 * 1024)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._writer.wait_closed()


def upgrade(hijacked: Hijacked, protocol: str) -> Duplex:
    """Answer the request: from here on the connection speaks SPDY."""
    reader, writer = hijacked.streams
    fields = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": protocol}
    lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {value}" for name, value in fields.items())]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    return RawDuplex(reader, writer)


async def accept(hijacked: Hijacked, protocol: str, streams: Sequence[str], *, tty: bool) -> SpdyRemote:
    """Wait for the streams that were announced. Raises ConnectionError."""
    connection = Connection(upgrade(hijacked, protocol))
    await connection.__aenter__()
    wanted = {"error", *streams, *(("resize",) if tty else ())}
    found: dict[str, Stream] = {}
    try:
        async with asyncio.timeout(CREATION_SECONDS):
            while wanted - found.keys():
                stream = await connection.accept()
                if stream is None:
                    raise ConnectionResetError("the client has gone")
                found[stream.headers.get("streamtype", "")] = stream
    except BaseException as error:
        await connection.__aexit__()
        if isinstance(error, TimeoutError):
            raise ConnectionResetError("timed out waiting for client to create streams") from error
        raise
    return SpdyRemote(connection, found)


class SpdyRemote:
    """Implements `carry.Remote`."""

    def __init__(self, connection: Connection, streams: dict[str, Stream]) -> None:
        self._connection, self._streams = connection, streams
        self._events: asyncio.Queue[tuple[str, bytes | None] | None] = asyncio.Queue(1)
        jobs: list[tuple[str, Coroutine[Any, Any, None]]] = [("end", self._wait_for_end())]
        jobs += [(name, self._read(name, streams[name])) for name in ("stdin", "resize") if name in streams]
        self._tasks = [spawn(job, name=f"user's {name}") for name, job in jobs]

    async def receive(self) -> tuple[str, bytes | None] | None:
        return await self._events.get()

    async def send(self, stream: str, data: bytes) -> None:
        await self._streams[stream].write(data)

    async def finish(self, status: bytes) -> None:
        for name in ("stdout", "stderr"):
            if name in self._streams:
                await self._streams[name].finish()
        await self._streams["error"].finish(status)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._connection.ended.wait()
        await self.close()

    async def close(self) -> None:
        for task in self._tasks:
            await cancel(task)
        await self._connection.__aexit__()

    async def _read(self, name: str, stream: Stream) -> None:
        while data := await stream.read():
            for piece in data.splitlines() if name == "resize" else (data,):
                await self._events.put((name, piece))
        if not self._connection.ended.is_set():
            await self._events.put((name, None))

    async def _wait_for_end(self) -> None:
        await self._connection.ended.wait()
        await self._events.put(None)
