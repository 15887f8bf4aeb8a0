"""What every store promises (controlplane/store/contract.py), tried on each driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from panal.controlplane.store import Compacted, Event, Mismatch, Store
from panal.controlplane.store.memory import MemoryStore
from panal.controlplane.store.sqlite import SQLiteStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else await SQLiteStore.open(tmp_path / "store")
    yield made
    await made.close()


async def names(store: Store, prefix: str, **options: object) -> list[str]:
    page = await store.list(prefix, **options)  # type: ignore[arg-type]
    return [entry.key for entry in page.entries]


async def test_revisions_count_every_change_of_every_key(store: Store) -> None:
    assert await store.append("/a", b"1", expect=0) == 1
    assert await store.append("/b", b"1", expect=0) == 2
    assert await store.append("/a", b"2", expect=1) == 3
    assert await store.append("/b", None, expect=2) == 4
    assert await store.revision() == 4
    entry = await store.get("/a")
    assert entry is not None
    assert (entry.value, entry.revision) == (b"2", 3)
    assert await store.get("/b") is None


@pytest.mark.parametrize(("expect", "value"), [(0, b"x"), (7, b"x"), (7, None)])
async def test_a_change_that_expects_another_revision_is_refused(
    store: Store, expect: int, value: bytes | None
) -> None:
    await store.append("/a", b"1", expect=0)
    with pytest.raises(Mismatch) as refused:
        await store.append("/a", value, expect=expect)
    assert refused.value.actual == 1
    assert await store.revision() == 1


async def test_what_does_not_exist_cannot_be_deleted(store: Store) -> None:
    with pytest.raises(Mismatch):
        await store.append("/a", None, expect=0)


async def test_of_many_writers_expecting_the_same_revision_one_wins(store: Store) -> None:
    await store.append("/a", b"0", expect=0)
    answers = await asyncio.gather(
        *(store.append("/a", str(n).encode(), expect=1) for n in range(50)), return_exceptions=True
    )
    assert sum(answer == 2 for answer in answers) == 1
    assert sum(isinstance(answer, Mismatch) for answer in answers) == 49


async def test_lists_are_in_the_order_of_keys_and_come_in_pages(store: Store) -> None:
    for key in ("/r/b", "/r/a", "/r/c", "/s/a", "/r", "/r/é"):
        await store.append(key, b"v", expect=0)
    assert await names(store, "/r/") == ["/r/a", "/r/b", "/r/c", "/r/é"]
    page = await store.list("/r/", limit=2)
    assert ([entry.key for entry in page.entries], page.more) == (["/r/a", "/r/b"], True)
    page = await store.list("/r/", after="/r/b", limit=2)
    assert ([entry.key for entry in page.entries], page.more) == (["/r/c", "/r/é"], False)


async def test_a_list_at_a_past_revision_shows_what_was(store: Store) -> None:
    await store.append("/a", b"1", expect=0)
    await store.append("/b", b"1", expect=0)
    await store.append("/a", b"2", expect=1)
    await store.append("/b", None, expect=2)
    page = await store.list("/", at=2)
    assert [(entry.key, entry.value, entry.revision) for entry in page.entries] == [("/a", b"1", 1), ("/b", b"1", 2)]
    assert page.revision == 2
    assert await names(store, "/") == ["/a"]


async def collect(store: Store, prefix: str, since: int, count: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(5), store.watch(prefix, since=since) as batches:
        async for batch in batches:
            found += batch
            if len(found) >= count:
                break
    return found


async def test_a_watch_tells_the_past_since_a_revision_and_then_what_happens(store: Store) -> None:
    await store.append("/r/a", b"1", expect=0)
    await store.append("/r/a", b"2", expect=1)
    await store.append("/s/a", b"1", expect=0)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(collect(store, "/r/", 1, 3))
        await asyncio.sleep(0.01)
        await store.append("/r/b", b"1", expect=0)
        await store.append("/r/a", None, expect=2)
    assert watching.result() == [Event(2, "/r/a", b"2"), Event(4, "/r/b", b"1"), Event(5, "/r/a", None)]


async def test_a_watch_that_starts_amid_writes_misses_and_repeats_nothing(store: Store) -> None:
    async def write() -> None:
        for number in range(300):
            await store.append(f"/k{number:03}", b"v", expect=0)

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        watchers = []
        for _ in range(20):
            watchers.append(group.create_task(collect(store, "/", 0, 300)))
            await asyncio.sleep(0.001)
    for watcher in watchers:
        assert [event.revision for event in watcher.result()] == list(range(1, 301))


async def test_compaction_forgets_what_was_superseded_and_nothing_else(store: Store) -> None:
    await store.append("/a", b"1", expect=0)
    await store.append("/a", b"2", expect=1)
    await store.append("/b", b"1", expect=0)
    await store.append("/b", None, expect=3)
    await store.append("/a", b"3", expect=2)
    await store.compact(4)
    assert await store.oldest() == 4
    with pytest.raises(Compacted):
        await store.list("/", at=3)
    with pytest.raises(Compacted):
        async with store.watch("/", since=3):
            pass
    page = await store.list("/", at=4)
    assert [(entry.key, entry.value) for entry in page.entries] == [("/a", b"2")]
    assert await collect(store, "/", 4, 1) == [Event(5, "/a", b"3")]
    assert await store.append("/b", b"again", expect=0) == 6


async def test_revisions_go_on_after_everything_was_deleted_and_compacted(store: Store) -> None:
    await store.append("/a", b"1", expect=0)
    await store.append("/a", None, expect=1)
    await store.compact(2)
    assert await names(store, "/") == []
    assert await store.append("/a", b"1", expect=0) == 3
