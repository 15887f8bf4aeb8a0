"""Where `panal rules NODE` reads the node's table: connect to the Unix socket, read JSON until its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path


def listen(path: Path) -> socket.socket:
    """A listening Unix socket at the path, mode 0600, in place of one that a killed process left.

    The path may be longer than the 108 bytes of a socket address: it is bound by way of its open folder.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path.name, dir_fd=folder)
        os.fchmod(sock.fileno(), 0o600)
        sock.bind(f"/proc/self/fd/{folder}/{path.name}")
        sock.listen(16)
    except OSError:
        sock.close()
        raise
    finally:
        os.close(folder)
    return sock


@asynccontextmanager
async def answering(path: Path, answer: Callable[[], bytes]) -> AsyncIterator[None]:
    """While inside, whoever connects gets `answer()` and the end of the stream."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                writer.write(answer())
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        writer.close()

    server = await asyncio.start_unix_server(serve, sock=listen(path))
    try:
        yield
    finally:
        server.close()
