"""What a forked process shows of itself in /proc."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from panal.agents.runtime import syscalls, title

LONG = "--words=" + "x" * 9000


def in_a_child(work) -> None:
    """Run `work` in a forked process; what it raises is told."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            work()
        except BaseException as error:
            os.write(write, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    assert told == ""


def test_a_line_of_any_length_is_shown_whole_with_the_environment_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANAL_CLUSTER", "/somewhere")

    def work() -> None:
        title.set_title(["/bin/kube-proxy", LONG])
        assert Path("/proc/self/cmdline").read_bytes() == b"/bin/kube-proxy\0" + LONG.encode() + b"\0"
        assert b"PANAL_CLUSTER=/somewhere" in Path("/proc/self/environ").read_bytes().split(b"\0")
        assert Path("/proc/self/comm").read_text() == "kube-proxy\n"
        title.set_title(["again"])
        assert Path("/proc/self/cmdline").read_bytes() == b"again\0"
        assert subprocess.run(["ps", "-o", "args=", str(os.getpid())], capture_output=True).stdout == b"again\n"

    in_a_child(work)


def test_a_program_executed_later_shows_its_own() -> None:
    def work() -> None:
        title.set_title(["before"])
        done = subprocess.run(["cat", "/proc/self/cmdline"], capture_output=True)
        assert done.stdout == b"cat\0/proc/self/cmdline\0"

    in_a_child(work)


def test_a_kernel_without_the_call_shows_what_fits_and_keeps_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(syscalls, "move_strings", refused)

    def work() -> None:
        before, room = Path("/proc/self/environ").read_bytes(), len(Path("/proc/self/cmdline").read_bytes())
        title.set_title(["kube-proxy", LONG])
        shown = Path("/proc/self/cmdline").read_bytes()
        assert shown == (b"kube-proxy\0" + LONG.encode())[: room - 1] + b"\0"
        assert Path("/proc/self/environ").read_bytes() == before

    in_a_child(work)


def test_what_does_not_fit_is_cut() -> None:
    assert title.fitted(b"kube-proxy\0--x\0", 8) == b"kube-pr\0"
    assert title.fitted(b"a\0b\0", 8) == b"a\0b\0\0\0\0\0"
