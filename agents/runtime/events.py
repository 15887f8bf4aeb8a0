"""Who wants to hear of containers that start and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .contract import ContainerChanged, RuntimeFailure

_WAITING = 10_000
"""A listener that is so far behind is dropped, and lists again."""


class Bell:
    """Tells every listener. `ring` never waits."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[ContainerChanged | None]] = set()

    def ring(self, change: ContainerChanged) -> None:
        for queue in list(self._listeners):
            if queue.qsize() >= _WAITING:
                self._listeners.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(change)

    def silence(self) -> None:
        """The runtime goes away."""
        for queue in self._listeners:
            queue.put_nowait(None)
        self._listeners.clear()

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[ContainerChanged]]:
        queue: asyncio.Queue[ContainerChanged | None] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield _changes(queue)
        finally:
            self._listeners.discard(queue)


async def _changes(queue: asyncio.Queue[ContainerChanged | None]) -> AsyncIterator[ContainerChanged]:
    while (change := await queue.get()) is not None:
        yield change
    raise RuntimeFailure("the runtime has gone away")
