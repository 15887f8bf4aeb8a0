"""A SPDY/3.1 connection on which the other side opens streams: what carries remote commands and forwarded ports.

Bytes come from a `Duplex`: a raw connection, or a WebSocket whose messages are the connection's bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from panal import spdy
from panal.tasks import cancel, spawn

BUFFER = 256 * 1024
"""Bytes of one stream that wait to be read; with more the whole connection waits."""
MAX_STREAMS = 1024
_PIECE = 32 * 1024


class Duplex(Protocol):
    async def read(self) -> bytes:
        """Some bytes; b"" when the connection has ended."""

    async def write(self, data: bytes) -> None:
        """Waits while the peer is slow. Raises ConnectionError."""

    async def close(self) -> None:
        """Raises nothing."""


class Stream:
    """One stream. Reads and writes end with the connection."""

    def __init__(self, connection: Connection, number: int, headers: Mapping[str, str], fin: bool) -> None:
        self._connection, self.number, self.headers = connection, number, headers
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._ended = fin
        self._finished = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def read(self) -> bytes:
        """The next bytes; b"" at the end."""
        while not self._waiting:
            if self._ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        chunk = self._waiting.popleft()
        self._size -= len(chunk)
        if self._size < BUFFER:
            self._room.set()
        return chunk

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError."""
        for start in range(0, len(data), _PIECE):
            if self._finished:
                raise ConnectionResetError("the stream is closed")
            await self._connection.send(spdy.Data(self.number, data[start : start + _PIECE]))

    async def finish(self, data: bytes = b"") -> None:
        """Say something last. Nothing happens when that has been done, or the connection has gone."""
        if self._finished:
            return
        with contextlib.suppress(ConnectionError):
            await self.write(data)
            if not self._finished:
                self._finished = True
                await self._connection.send(spdy.Data(self.number, b"", fin=True))
        self._connection.forget(self)

    async def reset(self) -> None:
        """End both directions at once."""
        self._end(reset=True)
        with contextlib.suppress(ConnectionError):
            await self._connection.send(spdy.Reset(self.number, spdy.CANCEL))
        self._connection.forget(self)

    @property
    def over(self) -> bool:
        return self._ended and self._finished

    async def _take(self, frame: spdy.Data) -> None:
        """Called by the connection; waits when there is too much already."""
        if self._ended:
            return
        if frame.payload:
            self._waiting.append(frame.payload)
            self._size += len(frame.payload)
        if frame.fin:
            self._ended = True
        self._changed.set()
        if self._size >= BUFFER:
            self._room.clear()
            await self._room.wait()

    def _end(self, *, reset: bool) -> None:
        self._ended = True
        if reset:
            self._finished = True
            self._waiting.clear()
            self._size = 0
        self._changed.set()
        self._room.set()


class Connection:
    """Serves one connection as long as the context lasts."""

    def __init__(self, duplex: Duplex) -> None:
        self._duplex = duplex
        self._encoder = spdy.Encoder()
        self._streams: dict[int, Stream] = {}
        self._opened: asyncio.Queue[Stream | None] = asyncio.Queue()
        self._sending = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()
        """The peer has gone."""

    async def __aenter__(self) -> Connection:
        self._task = spawn(self._serve(), name="SPDY connection")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        await cancel(self._task)
        self._end()
        await self._duplex.close()

    async def accept(self) -> Stream | None:
        """The next stream that the peer opens; None when it has gone."""
        return None if self.ended.is_set() and self._opened.empty() else await self._opened.get()

    async def send(self, frame: spdy.Frame) -> None:
        """Raises ConnectionError."""
        if self.ended.is_set():
            raise ConnectionResetError("the connection has ended")
        async with self._sending:  # headers are compressed in the order in which they are sent
            await self._duplex.write(self._encoder.encode(frame))

    def forget(self, stream: Stream) -> None:
        if stream.over:
            self._streams.pop(stream.number, None)

    async def _serve(self) -> None:
        decoder = spdy.Decoder()
        try:
            while chunk := await self._duplex.read():
                for frame in decoder.feed(chunk):
                    await self._receive(frame)
        except (spdy.ProtocolError, ConnectionError):
            pass
        finally:
            self._end()

    async def _receive(self, frame: spdy.Frame) -> None:
        match frame:
            case spdy.SynStream(number, headers, fin):
                await self._open(number, headers, fin)
            case spdy.Data(number):
                if (stream := self._streams.get(number)) is not None:
                    await stream._take(frame)
                    self.forget(stream)
            case spdy.Headers(number, fin=True):
                if (stream := self._streams.get(number)) is not None:
                    stream._end(reset=False)
            case spdy.Reset(number):
                if (stream := self._streams.pop(number, None)) is not None:
                    stream._end(reset=True)
            case spdy.Ping(number) if number % 2:
                await self.send(frame)
            case _:
                pass

    async def _open(self, number: int, headers: Mapping[str, str], fin: bool) -> None:
        if number in self._streams or number % 2 == 0:
            raise spdy.ProtocolError(f"stream {number} cannot be opened")
        if len(self._streams) >= MAX_STREAMS:
            await self.send(spdy.Reset(number, spdy.REFUSED_STREAM))
            return
        stream = self._streams[number] = Stream(self, number, headers, fin)
        await self.send(spdy.SynReply(number, {}))
        self._opened.put_nowait(stream)

    def _end(self) -> None:
        self.ended.set()
        for stream in self._streams.values():
            stream._end(reset=True)
        self._streams.clear()
        self._opened.put_nowait(None)
