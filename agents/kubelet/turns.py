"""Who may go on when many pods start at once: few at a time, and those nearest to their end first.

All of a crowd would else finish together at its end, each step of each pod waiting for that step of all the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncIterator
from enum import IntEnum


class Stage(IntEnum):
    """The steps of a pod's start; a later one goes first."""

    CONTAINER = 0
    SANDBOX = 1
    VOLUMES = 2


class Turns:
    """Invariant: nobody waits while a place is free."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: list[tuple[Stage, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    @property
    def crowded(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    @contextlib.asynccontextmanager
    async def turn(self, stage: Stage) -> AsyncIterator[None]:
        await self._enter(stage)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, stage: Stage) -> None:
        if self._free:
            self._free -= 1
            return
        mine = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (stage, next(self._numbers), mine))
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._leave()  # the place was given just before; somebody else takes it
            raise

    def _leave(self) -> None:
        while self._waiting:
            _, _, other = heapq.heappop(self._waiting)
            if not other.done():
                other.set_result(None)
                return
        self._free += 1
