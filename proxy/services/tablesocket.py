"""Where `panal rules NODE` reads the node's table: connect to the Unix socket, read JSON until its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from panal import unixsock


@asynccontextmanager
async def answering(path: Path, answer: Callable[[], bytes]) -> AsyncIterator[None]:
    """While inside, whoever connects gets `answer()` and the end of the stream. Raises OSError."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                writer.write(answer())
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        writer.close()

    server = await asyncio.start_unix_server(serve, sock=unixsock.listen(path))
    try:
        yield
    finally:
        server.close()
