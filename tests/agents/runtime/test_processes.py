"""Processes are told apart by pid and start time, and found with all that belongs to them."""

from __future__ import annotations

import os
import subprocess

from panal.agents.runtime import processes
from panal.agents.runtime.processes import Process


def one(pid: int, parent: int, session: int, start: int = 1) -> Process:
    return Process(pid, parent, session, "S", start, 0.0, 0)


def test_a_family_is_descendants_and_the_session() -> None:
    everyone = [
        one(1, 0, 1),
        one(10, 1, 10, 7),
        one(11, 10, 10),
        one(12, 11, 12),
        one(13, 1, 10),
        one(14, 13, 14),
        one(20, 1, 20),
    ]
    assert {p.pid for p in processes.family(everyone, 10, 7)} == {10, 11, 12, 13, 14}


def test_a_process_that_got_the_same_pid_later_is_no_family() -> None:
    assert processes.family([one(10, 1, 10, 8), one(11, 10, 10, 9)], 10, 7) == [one(11, 10, 10, 9)]


def test_this_process() -> None:
    me = processes.read(os.getpid())
    assert me is not None
    assert (me.parent, me.session) == (os.getppid(), os.getsid(0))
    assert processes.proportional_bytes(me) > 1_000_000
    assert os.getpid() in {process.pid for process in processes.everyone()}


def test_a_pidfd_is_only_given_for_the_very_process() -> None:
    child = subprocess.Popen(["sleep", "60"])
    start = processes.start_time(child.pid)
    assert start is not None
    found = processes.open_pidfd(child.pid, start)
    assert found is not None
    os.close(found)
    assert processes.open_pidfd(child.pid, start + 1) is None
    child.kill()
    child.wait()
    assert processes.open_pidfd(child.pid, start) is None
    assert processes.read(child.pid) is None


def test_marks_are_found_in_environments() -> None:
    child = subprocess.Popen(["sleep", "60"], env={"MARK": f"x{os.getpid()}"})
    try:
        assert list(processes.marked(f"MARK=x{os.getpid()}".encode())) == [child.pid]
        assert list(processes.marked(f"MARK=x{os.getpid()}0".encode())) == []
    finally:
        child.kill()
        child.wait()
