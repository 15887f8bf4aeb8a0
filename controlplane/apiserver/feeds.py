"""A watcher's changes on their way through a conversion webhook: in order, and no bookmark overtakes them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator

from panal.errors import StatusError

from .cache import Change, Item

_log = logging.getLogger(__name__)

Convert = Callable[[Callable[[], Iterable[Item]]], Awaitable[None]]
"""Sees that items can be shown (`Reader.settle` of a resource)."""

_LIMIT = 10_000
"""Changes that wait for a webhook at most; beyond them the watch ends, and its client lists again."""


class Feed:
    """Offers changes to a stream once they are converted; ends it when they cannot be."""

    def __init__(self, convert: Convert, offer: Callable[[Change], None], end: Callable[[], None]) -> None:
        self._convert = convert
        self._offer = offer
        self._end = end
        self._waiting: deque[Change] = deque()
        self._wake = asyncio.Event()

    def put(self, change: Change) -> None:
        self._waiting.append(change)
        self._wake.set()

    def revision(self, current: int) -> int:
        """What the client has seen everything of."""
        return self._waiting[0].revision - 1 if self._waiting else current

    async def run(self) -> None:
        """Until cancelled, or until something cannot be shown: then the stream ends."""
        try:
            while len(self._waiting) < _LIMIT:
                while self._waiting:
                    await self._pass_on(tuple(self._waiting))
                self._wake.clear()
                await self._wake.wait()
        except StatusError as error:
            _log.warning("a watch ends: %s", error)
        finally:
            self._end()

    async def _pass_on(self, changes: tuple[Change, ...]) -> None:
        await self._convert(lambda: items(changes))
        for change in changes:
            self._offer(change)
            self._waiting.popleft()


def items(changes: Iterable[Change]) -> Iterator[Item]:
    """What is to be shown of changes, or decides whether they are."""
    for change in changes:
        yield change.item
        if change.previous is not None:
            yield change.previous
