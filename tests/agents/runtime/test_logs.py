"""Output becomes log lines, whole and in bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panal.agents.runtime import logs, spool
from panal.agents.runtime.logs import MAX_LINE, Lines, LogFile, Pump, timestamp


def test_a_stamp_has_nine_digits() -> None:
    assert timestamp(1_795_456_800_123_456_789) == b"2026-11-23T18:00:00.123456789Z"
    assert timestamp(1_795_456_800_000_000_001) == b"2026-11-23T18:00:00.000000001Z"


def test_lines_are_whole_or_partial() -> None:
    lines = Lines("stdout")
    assert list(lines.feed(b"one\ntw", b"T")) == [b"T stdout F one\n"]
    assert list(lines.feed(b"o\n\n", b"U")) == [b"U stdout F two\n", b"U stdout F \n"]
    assert list(lines.feed(b"x" * (MAX_LINE + 1), b"V")) == [b"V stdout P " + b"x" * MAX_LINE + b"\n"]
    assert list(lines.finish(b"W")) == [b"W stdout P x\n"]
    assert list(lines.finish(b"W")) == []


@settings(database=None)
@given(st.lists(st.binary(max_size=40000), max_size=6))
def test_nothing_is_lost_however_it_is_cut(chunks: list[bytes]) -> None:
    lines, text = Lines("stderr"), b""
    for line in [line for chunk in chunks for line in lines.feed(chunk, b"T")] + list(lines.finish(b"T")):
        _, _, tag, rest = line.split(b" ", 3)
        assert len(rest) <= MAX_LINE + 1
        text += rest if tag == b"F" else rest[:-1]
    assert text == b"".join(chunks)


def test_a_log_is_turned_over_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_FILE", 100)
    file = LogFile(tmp_path / "0.log")
    for number in range(30):
        file.write(iter([b"%03d 789\n" % number]))
    file.close()
    assert (tmp_path / "0.log").read_bytes().startswith(b"02")
    assert {path.name for path in tmp_path.iterdir()} == {"0.log", "0.log.1"}
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())


def test_a_log_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"0\.log"):
        LogFile(tmp_path / "0.log")


async def test_another_pump_reads_on_where_one_died(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out")
    held = os.open(tmp_path / "out", os.O_RDWR)
    for text in (b"one\nt", b"wo\n"):
        pump = Pump({"stdout": tmp_path / "out"}, tmp_path / "log")
        pump.watch()
        os.write(held, text)
        await asyncio.sleep(0.05)
        pump.leave()
    os.write(held, b"unread while nobody was there\n")
    pump = Pump({"stdout": tmp_path / "out"}, tmp_path / "log")
    pump.watch()
    pump.finish()
    os.close(held)
    told = [line.split(" ", 3)[3] for line in (tmp_path / "log").read_text().splitlines()]
    assert told == ["one", "two", "unread while nobody was there"]


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from panal.agents.runtime.logs import Pump

folder, call, countdown, late = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == "late"
real = getattr(os, call)

def dying(*arguments, **more):
    global countdown
    countdown -= 1
    if countdown:
        return real(*arguments, **more)
    if late:
        real(*arguments, **more)
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    pump = Pump({name: folder / name for name in ("stdout", "stderr")}, folder / "log")
    setattr(os, call, dying)
    pump.watch()
    await asyncio.sleep(30)

asyncio.run(main())
"""
"""A pump that is killed just before or just after its nth call of a function of the system."""


DEATHS = [(call, when) for call in ("splice", "write", "pwrite") for when in ("early", "late")]


async def test_a_line_is_told_once_wherever_the_runtime_dies(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        for call, when in DEATHS:
            (place := tmp_path / f"{call}-{when}").mkdir()
            group.create_task(told_once(place, call, when))


async def told_once(place: Path, call: str, when: str) -> None:
    for name in ("stdout", "stderr"):
        os.mkfifo(place / name)
    out, err = (os.open(place / name, os.O_RDWR) for name in ("stdout", "stderr"))
    dying = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(place), call, "3", when)
    wanted = []
    for number in range(1000):
        os.write(out, b"out %d\nha" % number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(dying.wait(), 0.02)
        os.write(out, b"lf %d\n" % number)
        os.write(err, b"err %d\n" % number)
        wanted += [f"out {number}", f"half {number}", f"err {number}"]
        if dying.returncode is not None:
            break
    assert dying.returncode == -signal.SIGKILL
    pump = Pump({name: place / name for name in ("stdout", "stderr")}, place / "log")
    pump.watch()
    await asyncio.sleep(0.05)
    pump.finish()
    os.close(out)
    os.close(err)
    lines = [line.split(" ", 3) for line in (place / "log").read_text().splitlines()]
    assert {tag for _, _, tag, _ in lines} == {"F"}
    assert sorted(text for *_, text in lines) == sorted(wanted)
    told = [text for _, stream, _, text in lines if stream == "stdout"]
    assert told == [text for text in wanted if not text.startswith("err")]


async def test_a_disk_without_room_for_what_is_on_its_way_costs_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "splice", full)
    os.mkfifo(tmp_path / "out")
    held = os.open(tmp_path / "out", os.O_RDWR)
    pump = Pump({"stdout": tmp_path / "out"}, tmp_path / "log")
    pump.watch()
    os.write(held, b"one\ntwo\n")
    await asyncio.sleep(0.05)
    pump.finish()
    os.close(held)
    assert [line.split(" ", 3)[3] for line in (tmp_path / "log").read_text().splitlines()] == ["one", "two"]
    assert not (tmp_path / "out.spool").exists()


async def test_what_is_in_the_log_takes_no_room_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out")
    held = os.open(tmp_path / "out", os.O_RDWR)
    pump = Pump({"stdout": tmp_path / "out"}, tmp_path / "log")
    pump.watch()
    for _ in range(40):
        os.write(held, b"x" * 32767 + b"\n")
        await asyncio.sleep(0.002)
    pump.finish()
    os.close(held)
    assert (tmp_path / "log").stat().st_size > 40 * 32768
    assert (tmp_path / "out.spool").stat().st_size < spool.ROOM + 2 * spool.CHUNK
