"""What only a store on disk can promise: durability, a lock, and plain words when the disk is bad."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from panal.controlplane.store.contract import Mismatch, StoreError
from panal.controlplane.store.sqlite import SQLiteStore

WRITER = """
import asyncio, sys
from pathlib import Path
from panal.controlplane.store.sqlite import SQLiteStore

async def main():
    store = await SQLiteStore.open(Path(sys.argv[1]))
    async def writer(name):
        revision = 0
        for number in range(100_000):
            revision = await store.append(f"/{name}", str(number).encode(), expect=revision)
            print(name, number, revision, flush=True)
    await asyncio.gather(*(writer(f"w{n}") for n in range(8)))

asyncio.run(main())
"""


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    acknowledged: dict[str, tuple[int, int]] = {}
    with process.stdout as lines:
        for count, line in enumerate(lines):
            if count == 1000:
                os.kill(process.pid, signal.SIGKILL)
            if line.endswith("\n"):
                name, number, revision = line.split()
                acknowledged["/" + name] = (int(number), int(revision))
    assert process.wait() == -signal.SIGKILL
    store = await SQLiteStore.open(tmp_path)
    assert len(acknowledged) == 8
    for key, (number, revision) in acknowledged.items():
        entry = await store.get(key)
        assert entry is not None
        assert entry.revision >= revision
        assert int(entry.value) >= number
    last = await store.revision()
    assert await store.append("/new", b"v", expect=0) == last + 1
    await store.close()


async def test_a_store_opened_again_knows_its_history(tmp_path: Path) -> None:
    store = await SQLiteStore.open(tmp_path)
    await store.append("/a", b"1", expect=0)
    await store.append("/a", b"2", expect=1)
    await store.append("/b", b"1", expect=0)
    await store.compact(1)
    await store.close()
    store = await SQLiteStore.open(tmp_path)
    assert (await store.revision(), await store.oldest()) == (3, 1)
    page = await store.list("/", at=1)
    assert [entry.value for entry in page.entries] == [b"1"]
    await store.close()


async def test_writes_that_wait_together_share_a_commit(tmp_path: Path) -> None:
    store = await SQLiteStore.open(tmp_path)
    revisions = await asyncio.gather(*(store.append(f"/{n}", b"v", expect=0) for n in range(2000)))
    assert sorted(revisions) == list(range(1, 2001))
    await store.close()


async def test_a_second_process_is_told_the_folder_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panal.controlplane.store.sqlite.LOCK_PATIENCE", 0.05)
    store = await SQLiteStore.open(tmp_path)
    with pytest.raises(StoreError, match="in use by another API server"):
        await SQLiteStore.open(tmp_path)
    await store.close()


async def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match=r"store\.db cannot be used"):
        await SQLiteStore.open(tmp_path)


async def test_files_are_for_the_owner_only(tmp_path: Path) -> None:
    store = await SQLiteStore.open(tmp_path / "store")
    await store.append("/a", b"secret", expect=0)
    for path in (tmp_path / "store").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert (tmp_path / "store").stat().st_mode & 0o077 == 0
    await store.close()


async def test_the_file_stays_bounded_while_history_is_forgotten(tmp_path: Path) -> None:
    store = await SQLiteStore.open(tmp_path)
    revision, sizes = 0, []
    try:
        for _ in range(8):
            for _ in range(300):
                revision = await store.append("/registry/a", b"x" * 4000, expect=revision)
            await store.compact(revision)
            sizes.append((tmp_path / "store.db").stat().st_size + (tmp_path / "store.db-wal").stat().st_size)
    finally:
        await store.close()
    assert sizes[-1] < 2 * 300 * 4000 * 4, sizes
    assert sizes[-1] <= max(sizes[2:5]) * 1.5, sizes


async def test_writes_that_wait_together_see_each_other(tmp_path: Path) -> None:
    store = await SQLiteStore.open(tmp_path)
    try:
        first, *others = await asyncio.gather(
            *(store.append("/registry/a", b"%d" % number, expect=0) for number in range(5)),
            store.append("/registry/b", b"", expect=0),
            store.append("/registry/none", None, expect=0),
            return_exceptions=True,
        )
        assert first == 1
        assert [type(each) for each in others[:4]] == [Mismatch] * 4
        assert isinstance(others[5], Mismatch)
        found = await store.get("/registry/b")
        assert found is not None
        assert found.value == b""
        gone, again = await asyncio.gather(
            store.append("/registry/a", None, expect=1), store.append("/registry/a", b"new", expect=0)
        )
        assert (again - gone, (await store.list("/registry/a")).entries[0].value) == (1, b"new")
    finally:
        await store.close()


async def test_what_one_turn_of_the_loop_asks_for_is_one_transaction(tmp_path: Path) -> None:
    store = await SQLiteStore.open(tmp_path)
    statements: list[str] = []
    store._writer.set_trace_callback(statements.append)

    async def write(number: int) -> None:
        time.sleep(0.02)  # the writer's thread would have time to begin
        await store.append(f"/{number}", b"{}", expect=0)

    await asyncio.gather(*map(write, range(3)))
    await store.close()
    assert statements.count("COMMIT") == 1
