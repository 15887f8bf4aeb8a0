"""What keeps the store from growing for ever: old history is forgotten, and Events go an hour after their last change.

Nothing polls: compaction waits for a number of writes, expiry for the time of the oldest Event.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from panal.resources import EVENTS

from ..store import Mismatch, Store
from . import keys
from .cache import Cache, Change

_log = logging.getLogger(__name__)

KEPT_REVISIONS = 10_000
"""Changes that lists and watches of the past can still see: hours of an idle cluster, minutes of a very busy one."""
COMPACT_EVERY = 5_000
"""Changes between two compactions: each then deletes rows for some milliseconds."""
EVENT_SECONDS = 3600.0
"""How long an Event stays after its last change, Kubernetes' --event-ttl."""


async def compact(cache: Cache, store: Store) -> None:
    """Forget history that is older than KEPT_REVISIONS changes; runs for ever."""
    while True:
        await cache.reached(await store.oldest() + KEPT_REVISIONS + COMPACT_EVERY)
        oldest = cache.revision - KEPT_REVISIONS
        await store.compact(oldest)
        _log.info("forgot the history before revision %d", oldest)


class _Due(NamedTuple):
    at: float
    namespace: str
    name: str
    revision: int


async def expire_events(cache: Cache, store: Store, now: Callable[[], float], lives: float = EVENT_SECONDS) -> None:
    """Delete Events that nobody changed for `lives` seconds; runs for ever.

    Events found at the start live from then on, because the store does not know when they were written.
    """
    place = keys.location(EVENTS)
    shelf = cache.shelf(place)
    due = deque(_Due(now() + lives, item.namespace, item.name, item.revision) for item in shelf.list())
    wake = asyncio.Event()

    def note(change: Change) -> None:
        if change.kind != "DELETED":
            due.append(_Due(now() + lives, change.item.namespace, change.item.name, change.revision))
            wake.set()

    stop = shelf.subscribe("", note)
    try:
        while True:
            if not due:
                wake.clear()
                await wake.wait()
            first = due[0]
            if (left := first.at - now()) > 0:
                await asyncio.sleep(left)
                continue
            due.popleft()
            item = shelf.get(first.namespace, first.name)
            if item is not None and item.revision == first.revision:
                try:
                    await store.append(place.key(first.namespace, first.name), None, expect=first.revision)
                except Mismatch:
                    continue
    finally:
        stop()
