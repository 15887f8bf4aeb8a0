"""Somebody attached to a container's output: gets a copy of what the log gets, and holds it up when too slow.

One that reads nothing for a minute is let go, so that a forgotten terminal does not stop a container for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

PATIENCE = 60.0


class Tap:
    """Writes to a pipe. `ready(self)` is called when all has been written after `feed` said no, or nobody reads."""

    def __init__(self, write_end: int, ready: Callable[[], None]) -> None:
        """Owns `write_end`, which is non-blocking."""
        self._loop = asyncio.get_running_loop()
        self._pipe, self._ready = write_end, ready
        self._rest = memoryview(b"")
        self._ending = False
        self._timer: asyncio.TimerHandle | None = None
        self.closed = False

    @property
    def blocked(self) -> bool:
        return bool(self._rest) and not self.closed

    def feed(self, chunk: bytes) -> None:
        """Pass it on; `blocked` tells whether something of it waits."""
        if self.closed:
            return
        if self._rest:
            self._rest = memoryview(bytes(self._rest) + chunk)
            return
        self._rest = memoryview(chunk)
        self._write()
        if self.blocked:
            self._loop.add_writer(self._pipe, self._write)
            self._wait()

    def end(self) -> None:
        """The output has ended: close when all is written."""
        self._ending = True
        if not self._rest:
            self.close()

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_writer(self._pipe)
        os.close(self._pipe)
        self._ready()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(PATIENCE, self.close)

    def _write(self) -> None:
        waited = self._timer is not None
        try:
            with contextlib.suppress(BlockingIOError):
                self._rest = self._rest[os.write(self._pipe, self._rest) :]
        except OSError:
            self.close()
            return
        if self._rest:
            if waited:
                self._wait()
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._loop.remove_writer(self._pipe)
        if self._ending:
            self.close()
        elif waited:
            self._ready()
