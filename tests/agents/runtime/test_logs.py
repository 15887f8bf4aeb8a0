"""Output becomes log lines, whole and in bounded memory."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panal.agents.runtime import logs
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
    for text in (b"one\n", b"two\n"):
        pump = Pump({"stdout": tmp_path / "out"}, tmp_path / "log")
        pump.watch()
        os.write(held, text)
        await asyncio.sleep(0.05)
        pump.finish()
    os.write(held, b"unread while nobody was there\n")
    pump = Pump({"stdout": tmp_path / "out"}, tmp_path / "log")
    pump.watch()
    pump.finish()
    os.close(held)
    told = [line.split(" ", 3)[3] for line in (tmp_path / "log").read_text().splitlines()]
    assert told == ["one", "two", "unread while nobody was there"]
