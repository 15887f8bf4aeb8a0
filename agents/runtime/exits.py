"""The exit codes of processes that ended as orphans: the cluster's `exits.jsonl`, appended by the steward.

A line is `{"pid", "start", "status", "time"}`; see docs/ARCHITECTURE.md. `start` may be missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson

_TAIL = 1 << 20
"""Bytes read from the end: far more than can end while one runtime is away."""


@dataclass(frozen=True)
class Ending:
    status: int
    """As wait(2) tells it."""
    time: float


def find(path: Path, pid: int, start: int | None, after: float) -> Ending | None:
    """How the process ended that had this pid and start time; one without a start time must have ended `after`."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            record = orjson.loads(line)
            told, time = record.get("start"), float(record["time"])
            same = told == start if told is not None and start is not None else time >= after
            if record["pid"] == pid and same:
                return Ending(int(record["status"]), time)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a line cut off by the tail, or by a kill in mid-write
    return None
