"""Where `panal rules NODE` reads the node's table: connect to the Unix socket, send a word and a newline, read.

The word says what is wanted (kubeproxy.py knows the words); no word is the table as JSON. An answer ends with the
stream; one that goes on, as `watch`, ends when the client hangs up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from panal import unixsock
from panal.tasks import cancel, spawn

_REQUEST = 200
"""Bytes of a request at most."""
_PATIENCE = 5.0
"""Seconds that a client may take to say what it wants, and to take what it is given."""

Parts = AsyncGenerator[bytes, None]
Answer = Callable[[str], Parts]
"""The parts of the answer to a request."""


@asynccontextmanager
async def answering(path: Path, answer: Callable[[], bytes]) -> AsyncIterator[None]:
    """While inside, whoever connects gets `answer()` without a word. Raises OSError."""

    async def parts() -> Parts:
        yield answer()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _send(writer, parts())
        writer.close()

    server = await asyncio.start_unix_server(serve, sock=unixsock.listen(path))
    try:
        yield
    finally:
        server.close()


@asynccontextmanager
async def serving(path: Path, answer: Answer) -> AsyncIterator[None]:
    """While inside, whoever connects and says what it wants gets it. Raises OSError."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                request = (await reader.readline()).decode("ascii", "replace").strip()
            sending = spawn(_send(writer, answer(request)), name=f"show {request[:20]}")
            gone = spawn(_end(reader), name="client of the table")
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
            await cancel(sending)
            await cancel(gone)
        except (OSError, TimeoutError, ValueError):
            return
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, sock=unixsock.listen(path), limit=_REQUEST)
    try:
        yield
    finally:
        server.close()


async def _send(writer: asyncio.StreamWriter, parts: Parts) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        async with contextlib.aclosing(parts):
            async for part in parts:
                writer.write(part)
                async with asyncio.timeout(_PATIENCE):
                    await writer.drain()
        writer.close()
        async with asyncio.timeout(_PATIENCE):
            await writer.wait_closed()


async def _end(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        await reader.read(1)
