"""Writes what waits for many watchers at once: a chunk that several of them get is framed once, and no task is woken.

A change is offered to every watcher of a resource in one go. Each with something new is noted here, and one callback
of the event loop writes to all of them. While there are many, it runs at most every few milliseconds, so that changes
that follow each other closely share a write: a TLS record and a system call cost more than the bytes in them.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

PER_WATCHER = 20e-6
"""Seconds between two rounds for each watcher that has something new: about what writing to one costs."""
LONGEST = 0.005
"""Seconds a change waits at most for others to go with it."""


class Flushed(Protocol):
    """A watcher's side."""

    def flush(self, flusher: Flusher) -> None:
        """Write what waits, if the client keeps up."""


class Flusher:
    """The rounds of one resource's watchers."""

    def __init__(self) -> None:
        self._waiting: list[Flushed] = []
        self._scheduled = False
        self._last = 0.0
        self._lines: list[bytes] = []
        self._chunk = b""

    def note(self, stream: Flushed) -> None:
        """Flush the stream in the next round; to be called once a round."""
        self._waiting.append(stream)
        if self._scheduled:
            return
        self._scheduled = True
        loop = asyncio.get_running_loop()
        next_round = self._last
        if next_round > loop.time():
            loop.call_at(next_round, self._round)
        else:
            loop.call_soon(self._round)

    def framed(self, lines: list[bytes]) -> bytes:
        """The lines as one chunk of HTTP/1.1; that of the last call where they are the same lines."""
        known = self._lines
        if len(known) != len(lines) or any(one is not other for one, other in zip(known, lines, strict=True)):
            body = b"".join(lines)
            self._lines, self._chunk = lines, b"%x\r\n%b\r\n" % (len(body), body)
        return self._chunk

    def _round(self) -> None:
        self._scheduled = False
        streams, self._waiting = self._waiting, []
        for stream in streams:
            stream.flush(self)
        self._last = asyncio.get_running_loop().time() + min(LONGEST, PER_WATCHER * len(streams))
        self._lines, self._chunk = [], b""
