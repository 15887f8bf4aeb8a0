"""History is forgotten by writes, Events by time."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from panal.controlplane.apiserver import housekeeping
from panal.controlplane.apiserver.cache import Cache
from panal.controlplane.store.memory import MemoryStore
from panal.tasks import cancel, spawn


def event(name: str) -> bytes:
    return b'{"kind":"Event","apiVersion":"v1","metadata":{"name":"%b","namespace":"a"}}' % name.encode()


async def started(store: MemoryStore) -> tuple[Cache, asyncio.Task[None]]:
    cache = Cache(store)
    await cache.start()
    return cache, spawn(cache.run(), name="cache")


@pytest.mark.looptime
async def test_an_event_goes_an_hour_after_its_last_change() -> None:
    store = MemoryStore()
    await store.append("/registry/core/events/a/before", event("before"), expect=0)
    cache, running = await started(store)
    loop = asyncio.get_running_loop()
    expiring = spawn(housekeeping.expire_events(cache, store, loop.time), name="expiry")
    await asyncio.sleep(1800)
    once = await store.append("/registry/core/events/a/once", event("once"), expect=0)
    again = await store.append("/registry/core/events/a/again", event("again"), expect=0)
    await asyncio.sleep(1790)
    await store.append("/registry/core/events/a/again", event("again"), expect=again)
    assert await store.get("/registry/core/events/a/before") is not None
    await asyncio.sleep(20)
    assert await store.get("/registry/core/events/a/before") is None
    await asyncio.sleep(1800)
    assert once
    assert await store.get("/registry/core/events/a/once") is None
    assert await store.get("/registry/core/events/a/again") is not None
    await asyncio.sleep(1800)
    assert await store.get("/registry/core/events/a/again") is None
    await cancel(expiring)
    await cancel(running)


async def test_history_beyond_what_is_kept_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "KEPT_REVISIONS", 10)
    monkeypatch.setattr(housekeeping, "STEP", 5)
    store = MemoryStore()
    cache, running = await started(store)
    compacting = spawn(housekeeping.compact(cache, store), name="compaction")
    revision = 0
    for number in range(100):
        revision = await store.append("/registry/core/nodes/a", event(str(number)), expect=revision)
        await cache.reached(revision)
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert 80 <= await store.oldest() <= 90
    with suppress(asyncio.CancelledError):
        await cancel(compacting)
    await cancel(running)


@pytest.mark.looptime
async def test_history_is_kept_for_five_minutes_and_forgotten_by_ten() -> None:
    store = MemoryStore()
    cache, running = await started(store)
    compacting = spawn(housekeeping.compact(cache, store), name="compaction")
    revision = 0
    for minute in range(21):
        revision = await store.append("/registry/core/nodes/a", event("a"), expect=revision)
        assert minute - 10 <= await store.oldest() <= max(0, revision - 5)
        await asyncio.sleep(60)
    await cancel(compacting)
    await cancel(running)
