"""Reading messages from a stream: heads and bodies, never a byte more than theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ..ingress.bodies import Body
from ..ingress.heads import MAX_HEAD, BadMessage, Framing

PART = 64 * 1024


class Incomplete(Exception):
    """The stream ended within a message."""


class Source:
    """One side of a connection, read message by message."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._ahead = b""

    async def head(self) -> bytes:
        """A whole head, the empty line included; empty at the end of the stream. Raises BadMessage and Incomplete."""
        data = self._ahead.lstrip(b"\r\n")
        while (cut := data.find(b"\r\n\r\n") + 4) < 4:
            if len(data) > MAX_HEAD:
                raise BadMessage(431, "request head too large")
            part = await self._reader.read(PART)
            if not part:
                if data:
                    raise Incomplete("the stream ended within a head")
                return b""
            data = (data + part).lstrip(b"\r\n")
        if cut > MAX_HEAD:
            raise BadMessage(431, "request head too large")
        self._ahead = data[cut:]
        return data[:cut]

    async def body(self, framing: Framing) -> AsyncIterator[bytes]:
        """The parts of a body as they come. Raises BadMessage and Incomplete."""
        body = Body(framing)
        while not body.done:
            data, self._ahead = self._ahead or await self._reader.read(PART), b""
            if not data:
                if framing == "close":
                    return
                raise Incomplete("the stream ended within a body")
            used = body.feed(data)
            self._ahead = data[used:]
            yield data[:used]

    async def rest(self) -> AsyncIterator[bytes]:
        """Everything that still comes."""
        if self._ahead:
            yield self._ahead
            self._ahead = b""
        while data := await self._reader.read(PART):
            yield data
