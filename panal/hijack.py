"""Taking a connection over from aiohttp's server, for protocols that HTTP upgrades to and aiohttp does not speak.

    hijacked = Hijacked(request)
    reader, writer = hijacked.streams          # the raw connection; nothing has been answered yet
    ...
    return hijacked                            # from the handler, once all is said: aiohttp adds nothing

No bytes are lost: a client sends nothing of the new protocol before it has read the answer.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

LIMIT = 64 * 1024
"""Bytes that wait unread before the peer is held up (twice as many at most)."""


class Hijacked(web.StreamResponse):
    """A response that has been given by other means."""

    def __init__(self, request: web.BaseRequest) -> None:
        """Raises ConnectionError when the client has gone."""
        super().__init__(status=101)
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        loop = asyncio.get_running_loop()
        former = transport.get_protocol()
        reader = asyncio.StreamReader(limit=LIMIT, loop=loop)
        protocol = _Protocol(reader, former, loop)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        self.streams = reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: Any = b"") -> None:
        """Whoever hijacked closes, too."""
        writer = self.streams[1]
        writer.close()


class _Protocol(asyncio.StreamReaderProtocol):
    """Tells aiohttp's protocol of the connection's end, so that the server forgets it."""

    def __init__(
        self, reader: asyncio.StreamReader, former: asyncio.BaseProtocol, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(reader, loop=loop)
        self._former = cast("asyncio.Protocol", former)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._former.connection_lost(exc)
