"""Reading and writing non-blocking pipes, terminals and sockets with coroutines, a chunk at a time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

CHUNK = 32 * 1024


class Descriptor:
    """A descriptor that somebody else owns and closes, after `release`."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._loop = asyncio.get_running_loop()
        self._reading: asyncio.Future[None] | None = None
        self._expired = False

    async def read(self) -> bytes:
        """The next bytes; b"" at the end, and when nothing is there after `expire`."""
        while True:
            try:
                return os.read(self._number, CHUNK)
            except BlockingIOError:
                if self._expired:
                    return b""
            except OSError:  # a terminal whose other side is closed
                return b""
            self._reading = self._loop.create_future()
            await self._ready(self._reading, self._loop.add_reader, self._loop.remove_reader)

    async def write(self, data: bytes) -> None:
        """All of it. Raises OSError when nobody reads any more."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._number, rest) :]
            except BlockingIOError:
                await self._ready(self._loop.create_future(), self._loop.add_writer, self._loop.remove_writer)

    def expire(self) -> None:
        """Wait no longer for more to read than is there."""
        self._expired = True
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)

    async def _ready(
        self, waiter: asyncio.Future[None], add: Callable[..., object], remove: Callable[[int], object]
    ) -> None:
        add(self._number, _wake, waiter)
        try:
            await waiter
        finally:
            remove(self._number)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
