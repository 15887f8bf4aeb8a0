"""A small HTTP/1.1 client, for `panal.client` alone: requests with bodies in memory, answers read as they come.

Every component is a client of the API and a process of its own, forked from one image. What a library for all of HTTP
touches on its way to a first answer is some MiB of that image, copied in each of them; this one runs little code.
Framing is RFC 9112; no redirects, cookies, proxies or compression.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import cast
from urllib.parse import quote, urlencode, urlsplit

GONE_SECONDS = 20
"""A server that acknowledges nothing for so long is gone, or the way to it is (RFC 5482)."""
QUIET_SECONDS, PROBE_SECONDS = 15, 5
"""A silent connection is probed after so long, and then so often: a watch would wait for ever for who is gone."""
CONNECT_SECONDS = 5.0
"""For the connection and its TLS handshake together."""
IDLE_SECONDS = 120.0
"""A connection that was last used longer ago is not used again."""
HEAD_LIMIT = 64 * 1024
"""Bytes of an answer's head at most."""
BUFFER = 256 * 1024
"""Bytes of a body that wait for their reader before the server is made to wait."""
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Idempotent (RFC 9110, 9.2.2): sent again when a kept connection turns out to be gone before it has answered."""
_PATH = "/%:@!$&'()*+,;=~?"


class Broken(ConnectionError):
    """The connection could not be made, broke, or brought no HTTP."""


class Framing:
    """An answer as it arrives, byte by byte if need be: its status, the pieces of its body, its end. Pure.

    `feed` returns the pieces; it raises ValueError for what is no HTTP. One that has ended takes no more bytes.
    """

    def __init__(self) -> None:
        self.status = 0
        self.complete = False
        self.keep = True
        """Whether the connection lives on after this answer."""
        self.to_end = False
        """Whether the body ends with the connection (RFC 9112, 6.3)."""
        self._buffer = bytearray()
        self._left = 0
        self._step = self._read_head

    def feed(self, data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        self._buffer += data
        while not self.complete and self._step(pieces):
            pass
        if self.complete and self._buffer:
            raise ValueError("more than an answer")
        return pieces

    def _line(self, limit: int = 4096) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > limit:
                raise ValueError(f"a line of more than {limit} bytes")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _read_head(self, pieces: list[bytes]) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end > HEAD_LIMIT or (end < 0 and len(self._buffer) > HEAD_LIMIT):
            raise ValueError(f"a head of more than {HEAD_LIMIT} bytes")
        if end < 0:
            return False
        first, *lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        version, _, rest = first.partition(b" ")
        code = rest[:3]
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or not (len(code) == 3 and code.isdigit()):
            raise ValueError(f"the status line {first[:40]!r}")
        if (status := int(code)) < 200:
            if status == 101:
                raise ValueError("another protocol, which nobody asked for")
            return True
        self._read_fields(version, status, lines)
        self.status = status
        return True

    def _read_fields(self, version: bytes, status: int, lines: list[bytes]) -> None:
        self.keep = version == b"HTTP/1.1"
        lengths: set[bytes] = set()
        chunked = False
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon:
                raise ValueError(f"the header {line[:40]!r}")
            match name.lower():
                case b"content-length":
                    lengths.add(value.strip())
                case b"transfer-encoding":
                    if value.strip().lower() != b"chunked":
                        raise ValueError(f"the transfer encoding {value[:40]!r}")
                    chunked = True
                case b"connection":
                    self.keep = self.keep and b"close" not in value.lower()
        if status in (204, 304):
            self.complete = True
        elif chunked:
            if lengths:
                raise ValueError("both a length and chunks")
            self._step = self._read_size
        elif lengths:
            (text,) = lengths if len(lengths) == 1 else (b"",)
            if not text.isdigit() or len(text) > 18:
                raise ValueError("the content's length")
            self._left = int(text)
            self.complete = self._left == 0
            self._step = self._read_length
        else:
            self.keep, self.to_end = False, True
            self._step = self._read_to_end

    def _read_length(self, pieces: list[bytes]) -> bool:
        if self._take(pieces):
            self.complete = True
        return False

    def _read_to_end(self, pieces: list[bytes]) -> bool:
        self._left = len(self._buffer)
        self._take(pieces)
        return False

    def _read_size(self, pieces: list[bytes]) -> bool:
        if (line := self._line()) is None:
            return False
        text = line.partition(b";")[0].strip()
        if not text or len(text) > 15 or text.strip(b"0123456789abcdefABCDEF"):
            raise ValueError(f"the chunk's size {text[:20]!r}")
        self._left = int(text, 16)
        self._step = self._read_chunk if self._left else self._read_trailer
        return True

    def _read_chunk(self, pieces: list[bytes]) -> bool:
        if self._take(pieces):
            self._step = self._read_chunk_end
            return True
        return False

    def _read_chunk_end(self, pieces: list[bytes]) -> bool:
        if (line := self._line(2)) is None:
            return False
        if line:
            raise ValueError("a chunk longer than its size")
        self._step = self._read_size
        return True

    def _read_trailer(self, pieces: list[bytes]) -> bool:
        if (line := self._line()) is None:
            return False
        self.complete = not line
        return True

    def _take(self, pieces: list[bytes]) -> bool:
        """What is here of the bytes that are awaited; True when they all are."""
        if self._buffer and self._left:
            piece = bytes(self._buffer[: self._left])
            del self._buffer[: self._left]
            self._left -= len(piece)
            pieces.append(piece)
        return self._left == 0


class Connection(asyncio.Protocol):
    """One connection, and the answer that is being read from it."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self.used = time.monotonic()
        self._begin()

    def _begin(self) -> None:
        self._answer = Framing()
        self._began = False
        self._chunks: deque[bytes] = deque()
        self._waiting = 0

    @property
    def status(self) -> int:
        """0 until the head is here."""
        return self._answer.status

    @property
    def alive(self) -> bool:
        return self._error is None and self._transport is not None

    @property
    def silent(self) -> bool:
        """Whether nothing of the answer has come."""
        return not self._began

    @property
    def reusable(self) -> bool:
        """Whether the answer has been read to its end and another request may follow."""
        return self.alive and self._answer.complete and not self._chunks and self._answer.keep

    def send(self, request: bytes) -> None:
        if self._error is not None or self._transport is None:
            raise Broken("the connection was closed") from self._error
        self._begin()
        self._transport.write(request)

    def abort(self) -> None:
        """End it at once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()
            self._fail(Broken("the connection was closed"))

    async def head(self) -> int:
        """The answer's status, once its head is here."""
        while not self.status:
            await self._news()
        return self.status

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, in pieces as they came."""
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._waiting -= len(chunk)
                if self._paused and self._waiting < BUFFER // 2 and self._transport is not None:
                    self._paused = False
                    self._transport.resume_reading()
                yield chunk
            if self._answer.complete:
                return
            await self._news()

    async def read(self, limit: int | None = None) -> bytes:
        """The body; no more than about `limit` bytes of it."""
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if limit is not None and len(body) >= limit:
                break
        return bytes(body if limit is None else body[:limit])

    async def _news(self) -> None:
        if self._error is not None:
            raise Broken(str(self._error)) from self._error
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._transport = None
        self._wake()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if (connected := transport.get_extra_info("socket")) is not None and connected.family == socket.AF_INET:
            _notice_silence(connected)

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        self._began = True
        try:
            for piece in self._answer.feed(data):
                self._chunks.append(piece)
                self._waiting += len(piece)
        except ValueError as error:
            transport = self._transport
            self._fail(Broken(f"no HTTP: {error}"))
            transport.abort()
            return
        if self._waiting > BUFFER and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer.to_end and error is None:
            self._answer.complete = True
        self._fail(error or Broken("the server closed the connection"))


def _notice_silence(connected: socket.socket) -> None:
    """Let the kernel end a connection to a machine that sleeps or is gone."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, QUIET_SECONDS),
        (socket.TCP_KEEPINTVL, PROBE_SECONDS),
        (socket.TCP_KEEPCNT, 3),
        (socket.TCP_USER_TIMEOUT, GONE_SECONDS * 1000),
    ):
        connected.setsockopt(socket.IPPROTO_TCP, option, value)


class Pool:
    """Connections to one server, kept for the next request."""

    def __init__(self, base: str, secure: ssl.SSLContext | None, headers: Mapping[str, str]) -> None:
        parts = urlsplit(base)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._prefix = parts.path
        self._secure = secure
        self._fixed = _lines({"Host": parts.netloc, **headers})
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()

    @contextlib.asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str],
    ) -> AsyncIterator[Connection]:
        """The connection with its answer's head read. Raises Broken and TimeoutError; ValueError for a bad header."""
        target = quote(self._prefix + path, safe=_PATH)
        if params:
            target += ("&" if "?" in target else "?") + urlencode(params)
        message = f"{method} {target} HTTP/1.1\r\n".encode() + self._fixed + _lines(headers)
        if body is not None or method in ("POST", "PUT", "PATCH"):
            message += b"Content-Length: %d\r\n\r\n" % len(body or b"") + (body or b"")
        else:
            message += b"\r\n"
        connection = await self._ask(method, message)
        try:
            yield connection
        finally:
            self._busy.discard(connection)
            connection.used = time.monotonic()
            if connection.reusable:
                self._idle.append(connection)
            else:
                connection.abort()

    async def _ask(self, method: str, message: bytes) -> Connection:
        while True:
            kept = self._kept()
            connection = kept or await self._connect()
            self._busy.add(connection)
            try:
                connection.send(message)
                await connection.head()
                return connection
            except Broken:
                self._drop(connection)
                if kept is None or not connection.silent or method not in REPEATABLE:
                    raise
            except BaseException:
                self._drop(connection)
                raise

    def _drop(self, connection: Connection) -> None:
        self._busy.discard(connection)
        connection.abort()

    def _kept(self) -> Connection | None:
        now = time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            if connection.alive and now - connection.used < IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(Connection, self._host, self._port, ssl=self._secure)
        except TimeoutError:
            raise Broken(f"no connection to {self._host}:{self._port} in {CONNECT_SECONDS:.0f} s") from None
        except OSError as error:
            raise Broken(str(error)) from error
        return connection

    async def close(self) -> None:
        """End all of them; answers under way break."""
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()
        self._busy.clear()
        await asyncio.sleep(0)


def _lines(headers: Mapping[str, str]) -> bytes:
    """Raises ValueError for what would be more than one line."""
    for name, value in headers.items():
        if not (name.isascii() and name.isprintable()) or any(char in value for char in "\r\n\0"):
            raise ValueError(f"no header: {name!r}")
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
