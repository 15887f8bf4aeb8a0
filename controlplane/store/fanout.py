"""Hands committed changes to watchers. Each watcher has a bounded queue; who falls behind is dropped, never waited for.

Shared by the drivers. Used on the event loop's thread only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from .contract import Event, Lagging

QUEUE_LIMIT = 65_536
"""Events one watcher may lag behind: the API server's cache reads in microseconds, so this is seconds of full load."""


class Watcher:
    """One subscriber's queue of events after `last`."""

    def __init__(self, prefix: str, last: int, limit: int = QUEUE_LIMIT) -> None:
        self.prefix = prefix
        self.last = last
        self._limit = limit
        self._queue: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._lagging = False

    def offer(self, events: Sequence[Event]) -> None:
        """Queue those events that this watcher has not seen and asked for."""
        self._queue.extend(e for e in events if e.revision > self.last and e.key.startswith(self.prefix))
        if len(self._queue) > self._limit:
            self._queue.clear()
            self._lagging = True
        if self._queue or self._lagging:
            self._wake.set()

    async def batches(self) -> AsyncIterator[Sequence[Event]]:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._lagging:
                raise Lagging
            batch = tuple(self._queue)
            self._queue.clear()
            if batch:
                self.last = batch[-1].revision
                yield batch


class Fanout:
    """The watchers of one store."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    def add(self, watcher: Watcher) -> None:
        self._watchers.add(watcher)

    def remove(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    def publish(self, events: Sequence[Event]) -> None:
        """Offer events, in the order of their revisions, to everyone."""
        for watcher in self._watchers:
            watcher.offer(events)
