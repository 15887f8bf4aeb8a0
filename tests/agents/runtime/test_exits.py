"""The records of orphans' ends are found again, and only the right ones."""

from __future__ import annotations

from pathlib import Path

from panal.agents.runtime.exits import Ending, find


def test_the_record_of_the_very_process(tmp_path: Path) -> None:
    path = tmp_path / "exits.jsonl"
    assert find(path, 7, 100, 0) is None
    path.write_text(
        '{"pid": 7, "start": 99, "status": 0, "time": 50}\n'
        '{"pid": 7, "start": 100, "status": 256, "time": 60}\n'
        '{"pid": 7, "start": 101, "status": 9, "time": 70}\n'
        '{"pid": 8, "status": 15, "time": 80}\n'
        'null\n[]\n{"pid": 9, "sta'
    )
    assert find(path, 7, 100, 0) == Ending(256, 60)
    assert find(path, 7, 98, 0) is None
    assert find(path, 8, 5, after=79) == Ending(15, 80)
    assert find(path, 8, 5, after=81) is None
    assert find(path, 9, 5, after=0) is None
