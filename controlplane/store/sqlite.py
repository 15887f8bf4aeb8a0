"""The store on SQLite, in a folder of its own: what is acknowledged survives `kill -9` and a power cut.

One table is the history; the newest row of a key is its value. A writer thread takes all appends that wait, commits
them in one transaction (WAL, synchronous=FULL, so one fsync for all of them) and then answers each. Reads of the past
run on a second thread with its own connection; the present is in the API server's cache.
"""

from __future__ import annotations

import asyncio
import builtins
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import orjson

from .contract import Compacted, Entry, Event, Mismatch, Page, StoreError
from .fanout import Fanout, Watcher

_SCHEMA = """
CREATE TABLE IF NOT EXISTS history (
    revision INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    value BLOB
);
CREATE INDEX IF NOT EXISTS history_of_key ON history (key, revision);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_CURRENT = "SELECT revision, value FROM history WHERE key = ? ORDER BY revision DESC LIMIT 1"
_CURRENT_OF = (
    "SELECT json_group_array(json_array(wanted.key, CASE WHEN newest.value IS NULL THEN 0 ELSE newest.revision END)) "
    "FROM json_each(?) AS wanted LEFT JOIN history AS newest "
    "ON newest.revision = (SELECT max(revision) FROM history WHERE key = wanted.value)"
)
"""Of a JSON list of keys: [[index, revision or 0], ...]."""
_INSERT_ALL = (
    "INSERT INTO history (revision, key, value) SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), "
    "CASE WHEN json_extract(value, '$[3]') < 0 THEN NULL "
    "ELSE substr(?2, json_extract(value, '$[2]') + 1, json_extract(value, '$[3]')) END FROM json_each(?1)"
)
"""A JSON list of [revision, key, start, size], and the bytes of all values; a size of -1 is a deletion."""
_AS_OF = (
    "SELECT key, value, max(revision) FROM history WHERE key >= ? AND key < ? AND revision <= ? "
    "GROUP BY key HAVING value IS NOT NULL ORDER BY key LIMIT ?"
)
"""With max() the other columns come from the row that holds the maximum (sqlite.org/lang_select.html#bareagg)."""
_FORGET_SUPERSEDED = (
    "DELETE FROM history WHERE revision <= ?1 AND EXISTS (SELECT 1 FROM history AS newer "
    "WHERE newer.key = history.key AND newer.revision > history.revision AND newer.revision <= ?1)"
)

BATCH_LIMIT = 1000
"""Appends one transaction takes: bounds how long the first of them waits for the others."""
BATCH_BYTES = 32 * 1024 * 1024
"""Bytes of values after which a transaction takes no more."""

_LOG_LIMIT = 16 * 1024 * 1024
"""Bytes of the write-ahead log that stay on the disk between two bursts of writes."""
_CACHE = 512
"""KiB of pages that SQLite keeps; reads are answered from the watch cache, so more of them serve nobody."""

LOCK_PATIENCE = 5.0
"""Seconds to wait for a predecessor that is just ending to let go of the folder."""

_T = TypeVar("_T")


@dataclass(slots=True)
class _Append:
    key: str
    value: bytes | None
    expect: int
    answer: asyncio.Future[int]


@dataclass(slots=True)
class _Compact:
    revision: int
    answer: asyncio.Future[int]


_Job = _Append | _Compact


def _size(job: _Job) -> int:
    return len(job.value or b"") if isinstance(job, _Append) else 0


class SQLiteStore:
    """Open with `SQLiteStore.open(folder)`, inside a running event loop."""

    def __init__(self, folder: Path, lock: int) -> None:
        self._path = folder / "store.db"
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._asked: builtins.list[_Job] = []
        """What one turn of the loop asks for goes to the writer together: fewer, larger transactions."""
        self._jobs: queue.SimpleQueue[builtins.list[_Job] | None] = queue.SimpleQueue()
        self._fanout = Fanout()
        self._published = 0
        self._closed = False
        try:
            self._writer = _connect(self._path)
            self._reader = _connect(self._path)
            self._revision, self._oldest = _facts(self._writer)
        except sqlite3.DatabaseError as error:
            raise StoreError(f"the database {self._path} cannot be used: {error}") from error
        self._published = self._revision
        self._read_thread = ThreadPoolExecutor(1, "store-reader")
        self._write_thread = threading.Thread(target=self._write, name="store-writer", daemon=True)
        self._write_thread.start()

    @classmethod
    async def open(cls, folder: Path) -> SQLiteStore:
        """Create the folder (0700) and the database in it if need be. Raises StoreError in a plain sentence."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = await _lock(folder / "lock")
        except OSError as error:
            raise StoreError(f"the folder {folder} cannot be used: {error.strerror}") from error
        try:
            return cls(folder, lock)
        except StoreError:
            os.close(lock)
            raise

    async def append(self, key: str, value: bytes | None, *, expect: int) -> int:
        answer: asyncio.Future[int] = self._loop.create_future()
        self._submit(_Append(key, value, expect, answer))
        return await answer

    async def get(self, key: str) -> Entry | None:
        def read() -> Entry | None:
            row = self._reader.execute(_CURRENT, (key,)).fetchone()
            return Entry(key, row[1], row[0]) if row and row[1] is not None else None

        return await self._read(read)

    async def list(
        self, prefix: str, *, at: int | None = None, after: str | None = None, limit: int | None = None
    ) -> Page:
        if at is not None and at < self._oldest:
            raise Compacted(self._oldest)
        revision = self._published if at is None else min(at, self._published)
        start = prefix if after is None else max(prefix, after + "\0")

        def read() -> Page:
            count = -1 if limit is None else limit + 1
            rows = self._reader.execute(_AS_OF, (start, prefix + "\U0010ffff", revision, count)).fetchall()
            entries = [Entry(*row) for row in rows]
            return Page(tuple(entries[:limit]), revision, limit is not None and len(entries) > limit)

        return await self._read(read)

    @asynccontextmanager
    async def watch(self, prefix: str, *, since: int) -> AsyncGenerator[AsyncIterator[Sequence[Event]]]:
        if since < self._oldest:
            raise Compacted(self._oldest)
        upto = self._published
        watcher = Watcher(prefix, max(since, upto))
        self._fanout.add(watcher)

        def replay() -> list[Event]:
            rows = self._reader.execute(
                "SELECT revision, key, value FROM history WHERE revision > ? AND revision <= ? ORDER BY revision",
                (since, upto),
            )
            return [Event(*row) for row in rows if row[1].startswith(prefix)]

        async def batches(past: Sequence[Event]) -> AsyncIterator[Sequence[Event]]:
            if past:
                yield past
            async for batch in watcher.batches():
                yield batch

        try:
            yield batches(await self._read(replay) if since < upto else [])
        finally:
            self._fanout.remove(watcher)

    async def compact(self, revision: int) -> None:
        answer: asyncio.Future[int] = self._loop.create_future()
        self._oldest = max(self._oldest, min(revision, self._published))
        self._submit(_Compact(self._oldest, answer))
        await answer

    async def revision(self) -> int:
        return self._published

    async def oldest(self) -> int:
        return self._oldest

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._hand_over()
        self._jobs.put(None)
        await asyncio.to_thread(self._write_thread.join)
        self._read_thread.shutdown()
        self._reader.close()
        self._writer.close()
        os.close(self._lock)

    async def _read(self, read: Callable[[], _T]) -> _T:
        return await self._loop.run_in_executor(self._read_thread, read)

    def _submit(self, job: _Job) -> None:
        if self._closed:
            raise StoreError("the store is closed")
        self._asked.append(job)
        if len(self._asked) == 1:
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        if self._asked:
            self._jobs.put(self._asked)
            self._asked = []

    # The writer thread's part. It owns self._writer and self._revision.

    def _write(self) -> None:
        while (jobs := self._jobs.get()) is not None:
            waiting = deque(jobs)
            while waiting:
                batch: builtins.list[_Job] = []
                size = 0
                while len(batch) < BATCH_LIMIT and size < BATCH_BYTES and (waiting or self._more(waiting)):
                    job = waiting.popleft()
                    batch.append(job)
                    size += _size(job)
                self._commit(batch)

    def _more(self, waiting: deque[_Job]) -> bool:
        """Take what has been asked for meanwhile."""
        try:
            jobs = self._jobs.get_nowait()
        except queue.Empty:
            return False
        if jobs is None:
            self._jobs.put(None)
            return False
        waiting.extend(jobs)
        return True

    def _commit(self, batch: Sequence[_Job]) -> None:
        before = self._revision
        outcomes: list[int | Exception] = []
        events: list[Event] = []
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            appended = iter(self._append_all([job for job in batch if isinstance(job, _Append)], events))
            outcomes.extend(next(appended) if isinstance(job, _Append) else self._forget(job.revision) for job in batch)
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            self._revision = before
            outcomes = [StoreError(f"the write could not be made durable: {error}")] * len(batch)
            events = []
        with suppress(RuntimeError):  # the loop has ended; so has everyone who waits
            self._loop.call_soon_threadsafe(self._settle, batch, outcomes, events)

    def _append_all(self, jobs: Sequence[_Append], events: builtins.list[Event]) -> builtins.list[int | Exception]:
        """Check and insert with one statement each: the interpreter's lock is given back once, not once a row."""
        if not jobs:
            return []
        keys = list(dict.fromkeys(job.key for job in jobs))
        found = self._writer.execute(_CURRENT_OF, (orjson.dumps(keys).decode(),)).fetchone()[0]
        latest = {keys[index]: revision for index, revision in orjson.loads(found)}
        outcomes: builtins.list[int | Exception] = []
        rows: builtins.list[tuple[int, str, int, int]] = []
        values: builtins.list[bytes] = []
        size = 0
        for job in jobs:
            actual = latest[job.key]
            if actual != job.expect or (job.value is None and actual == 0):
                outcomes.append(Mismatch(job.key, actual))
                continue
            self._revision += 1
            latest[job.key] = 0 if job.value is None else self._revision
            rows.append((self._revision, job.key, size, _size(job) if job.value is not None else -1))
            values.append(job.value or b"")
            size += _size(job)
            events.append(Event(self._revision, job.key, job.value))
            outcomes.append(self._revision)
        if rows:
            self._writer.execute(_INSERT_ALL, (orjson.dumps(rows).decode(), b"".join(values)))
        return outcomes

    def _forget(self, revision: int) -> int:
        self._writer.execute("INSERT OR REPLACE INTO facts VALUES ('oldest', ?)", (revision,))
        self._writer.execute("INSERT OR REPLACE INTO facts VALUES ('revision', ?)", (self._revision,))
        self._writer.execute(_FORGET_SUPERSEDED, (revision,))
        self._writer.execute("DELETE FROM history WHERE revision <= ? AND value IS NULL", (revision,))
        return revision

    def _settle(self, batch: Sequence[_Job], outcomes: Sequence[int | Exception], events: Sequence[Event]) -> None:
        if events:
            self._published = events[-1].revision
            self._fanout.publish(events)
        for job, outcome in zip(batch, outcomes, strict=True):
            if job.answer.done():
                continue
            if isinstance(outcome, Exception):
                job.answer.set_exception(outcome)
            else:
                job.answer.set_result(outcome)


def _connect(path: Path) -> sqlite3.Connection:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.close(descriptor)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=16)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute(f"PRAGMA cache_size=-{_CACHE}")
    connection.execute(f"PRAGMA journal_size_limit={_LOG_LIMIT}")
    connection.executescript(_SCHEMA)
    return connection


def _facts(connection: sqlite3.Connection) -> tuple[int, int]:
    """The last revision and the oldest known one."""
    facts = dict(connection.execute("SELECT name, value FROM facts"))
    newest = connection.execute("SELECT max(revision) FROM history").fetchone()[0] or 0
    return max(newest, facts.get("revision", 0)), facts.get("oldest", 0)


async def _lock(path: Path) -> int:
    """Take the folder's lock; whoever dies gives it back. Raises StoreError when another process keeps it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise StoreError(f"the folder {path.parent} is in use by another API server") from None
            await asyncio.sleep(0.02)
        else:
            return descriptor
