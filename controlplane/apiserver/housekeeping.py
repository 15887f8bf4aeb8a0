"""What keeps the store from growing for ever: old history is forgotten, and Events go an hour after their last change.

Nothing polls: compaction waits for writes, expiry for the time of the oldest Event.
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

KEPT_SECONDS = 300.0
"""How long lists and watches of the past are possible at least, Kubernetes' --etcd-compaction-interval."""
KEPT_REVISIONS = 50_000
"""Changes kept at most, whatever their age: bounds the database file of a cluster that writes thousands a second."""
STEP = 5_000
"""Changes that one compaction takes: each deletes rows for some milliseconds, and writes go on in between."""
EVENT_SECONDS = 3600.0
"""How long an Event stays after its last change, Kubernetes' --event-ttl."""


async def compact(cache: Cache, store: Store, kept: float = KEPT_SECONDS) -> None:
    """Forget history of `kept` seconds ago, or sooner where there is too much of it; runs for ever.

    Nothing wakes up while nothing is written.
    """
    while True:
        mark = cache.revision
        await cache.reached(mark + 1)
        surplus = await store.oldest() + KEPT_REVISIONS + STEP
        try:
            async with asyncio.timeout(kept):
                await cache.reached(surplus)
        except TimeoutError:
            oldest = mark
        else:
            oldest = surplus - KEPT_REVISIONS
        await _forget(store, oldest)


async def _forget(store: Store, upto: int) -> None:
    begun = await store.oldest()
    if begun >= upto:
        return
    for revision in (*range(begun + STEP, upto, STEP), upto):
        await store.compact(revision)
    _log.info("forgot the history before revision %d", upto)


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
