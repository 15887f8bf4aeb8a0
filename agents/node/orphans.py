"""Reaping: whatever ends in the cluster and has no other parent ends as a child of the steward.

A runtime that was killed leaves its containers behind; how they ended is written to exits.jsonl, where the restarted
runtime reads it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

FILE = "exits.jsonl"


def start_ticks(pid: int) -> int | None:
    """When the process began, in clock ticks since boot: with its pid, what tells it from any other. proc(5)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def reap(folder: Path, claim: Callable[[int, int], bool]) -> None:
    """Take every ended child. Those that nobody claims, called with pid and wait status, are written down."""
    lines = []
    while (pid := _next_ended()) is not None:
        start = start_ticks(pid)
        _, status = os.waitpid(pid, 0)
        if not claim(pid, status):
            lines.append(json.dumps({"pid": pid, "start": start, "status": status, "time": time.time()}) + "\n")
    if lines:
        with open(folder / FILE, "a", opener=_private) as file:
            file.write("".join(lines))


def _next_ended() -> int | None:
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return found.si_pid if found is not None else None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
