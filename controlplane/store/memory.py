"""A store that lives as long as its process: for tests, and for clusters that need not survive one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from .contract import Compacted, Entry, Event, Mismatch, Page
from .fanout import Fanout, Watcher


class MemoryStore:
    """Keeps every key's versions, oldest first, and the log of all events since the last compaction."""

    def __init__(self) -> None:
        self._versions: dict[str, list[Event]] = {}
        self._log: list[Event] = []
        self._revision = 0
        self._oldest = 0
        self._fanout = Fanout()

    async def append(self, key: str, value: bytes | None, *, expect: int) -> int:
        current = self._current(key)
        actual = current.revision if current else 0
        if actual != expect or (value is None and actual == 0):
            raise Mismatch(key, actual)
        self._revision += 1
        event = Event(self._revision, key, value)
        self._versions.setdefault(key, []).append(event)
        self._log.append(event)
        self._fanout.publish((event,))
        return self._revision

    async def get(self, key: str) -> Entry | None:
        return self._current(key)

    async def list(
        self, prefix: str, *, at: int | None = None, after: str | None = None, limit: int | None = None
    ) -> Page:
        if at is not None and at < self._oldest:
            raise Compacted(self._oldest)
        revision = self._revision if at is None else min(at, self._revision)
        keys = sorted(key for key in self._versions if key.startswith(prefix) and (after is None or key > after))
        found = [entry for key in keys if (entry := self._as_of(key, revision)) is not None]
        more = limit is not None and len(found) > limit
        return Page(tuple(found[:limit]), revision, more)

    @asynccontextmanager
    async def watch(self, prefix: str, *, since: int) -> AsyncGenerator[AsyncIterator[Sequence[Event]]]:
        if since < self._oldest:
            raise Compacted(self._oldest)
        watcher = Watcher(prefix, since)
        self._fanout.add(watcher)
        watcher.offer([event for event in self._log if event.revision > since])
        try:
            yield watcher.batches()
        finally:
            self._fanout.remove(watcher)

    async def compact(self, revision: int) -> None:
        self._oldest = max(self._oldest, min(revision, self._revision))
        self._log = [event for event in self._log if event.revision > self._oldest]
        for key, versions in list(self._versions.items()):
            keep = max(bisect_right(versions, self._oldest, key=lambda event: event.revision) - 1, 0)
            del versions[:keep]
            if versions[0].value is None and versions[0].revision <= self._oldest:
                del versions[0]
            if not versions:
                del self._versions[key]

    async def revision(self) -> int:
        return self._revision

    async def oldest(self) -> int:
        return self._oldest

    async def close(self) -> None:
        self._versions.clear()

    def _current(self, key: str) -> Entry | None:
        return self._as_of(key, self._revision)

    def _as_of(self, key: str, revision: int) -> Entry | None:
        versions = self._versions.get(key, [])
        index = bisect_right(versions, revision, key=lambda event: event.revision)
        if index == 0 or (value := versions[index - 1].value) is None:
            return None
        return Entry(key, value, versions[index - 1].revision)
