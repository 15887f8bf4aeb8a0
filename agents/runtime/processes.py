"""Processes as /proc shows them: who is still the one we started, what descends from it, what it uses.

A pid alone names nobody for long; a pid with its start time does.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    session: int
    state: str
    start: int
    """Clock ticks since boot."""
    cpu_seconds: float
    resident_bytes: int
    waited_seconds: float = 0.0
    """CPU of its children that ended and were waited for."""


def read(pid: int) -> Process | None:
    """The process as it is now; None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            line = file.read()
    except OSError:
        return None
    fields = line.rpartition(b")")[2].split()
    return Process(
        pid=pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        state=fields[0].decode(),
        start=int(fields[19]),
        cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
        resident_bytes=int(fields[21]) * _PAGE,
        waited_seconds=(int(fields[13]) + int(fields[14])) / _TICKS,
    )


def proportional_bytes(process: Process) -> int:
    """What the process keeps in memory, pages shared with others by their share: forked ones share most of theirs."""
    try:
        with open(f"/proc/{process.pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return process.resident_bytes


def start_time(pid: int) -> int | None:
    process = read(pid)
    return process.start if process else None


def everyone() -> Iterator[Process]:
    """Every process this one can see."""
    for name in os.listdir("/proc"):
        if name.isdigit() and (process := read(int(name))) is not None:
            yield process


def family(processes: Iterable[Process], root: int, start: int | None) -> list[Process]:
    """`root` (if it started at `start`), its descendants, and what shares its session though orphaned."""
    children: dict[int, list[Process]] = defaultdict(list)
    known = list(processes)
    for process in known:
        children[process.parent].append(process)
    found: dict[int, Process] = {}
    waiting = [
        process
        for process in known
        if (process.pid == root and process.start == start) or (process.session == root and process.pid != root)
    ]
    while waiting:
        process = waiting.pop()
        if process.pid not in found:
            found[process.pid] = process
            waiting.extend(children[process.pid])
    return list(found.values())


def same_namespace(pid: int, name: str) -> list[int]:
    """The pids of all processes in the same namespace as `pid`, `name` as in /proc/PID/ns."""
    try:
        wanted = os.stat(f"/proc/{pid}/ns/{name}").st_ino
    except OSError:
        return []
    found = []
    for other in os.listdir("/proc"):
        if other.isdigit():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{other}/ns/{name}").st_ino == wanted:
                    found.append(int(other))
    return found


def descendants(pid: int) -> list[Process]:
    """What descends from a process, by the kernel's own lists of children: no walk over all processes."""
    found: list[Process] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{parent}/task"):
                with contextlib.suppress(OSError), open(f"/proc/{parent}/task/{thread}/children", "rb") as file:
                    for child in map(int, file.read().split()):
                        if (process := read(child)) is not None:
                            found.append(process)
                            waiting.append(child)
    return found


def by_namespace(roots: Mapping[str, int], name: str) -> dict[str, list[int]]:
    """For each key the pids in the same namespace as its root process, from one walk over all processes."""
    owners: dict[int, str] = {}
    for key, pid in roots.items():
        with contextlib.suppress(OSError):
            owners[os.stat(f"/proc/{pid}/ns/{name}").st_ino] = key
    found: dict[str, list[int]] = {}
    if not owners:
        return found
    for other in os.listdir("/proc"):
        if other.isdigit():
            with contextlib.suppress(OSError):
                owner = owners.get(os.stat(f"/proc/{other}/ns/{name}").st_ino)
                if owner is not None:
                    found.setdefault(owner, []).append(int(other))
    return found


def marks(name: bytes) -> dict[str, list[int]]:
    """Pids by the value of the variable `name` in their environment, as it was when they were executed."""
    found: dict[str, list[int]] = {}
    prefix = name + b"="
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
                for entry in file.read(1 << 20).split(b"\0"):
                    if entry.startswith(prefix):
                        found.setdefault(entry[len(prefix) :].decode(errors="replace"), []).append(int(pid))
                        break
    return found


def marked(marker: bytes) -> Iterator[int]:
    """Pids whose environment, as it was when they were executed, has the entry `marker` (NAME=VALUE)."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                if marker in file.read(1 << 20).split(b"\0"):
                    yield int(name)


def holders(path: str) -> list[Process]:
    """The processes whose standard output or error is the file at `path`, the oldest first."""
    try:
        wanted = os.stat(path)
    except OSError:
        return []
    found = []
    for process in everyone():
        for descriptor in (1, 2):
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(f"/proc/{process.pid}/fd/{descriptor}"), wanted):
                    found.append(process)
                    break
    return sorted(found, key=lambda process: (process.start, process.pid))


def open_pidfd(pid: int, start: int | None) -> int | None:
    """A pidfd for the process that had this pid and start time, None when it has gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    process = read(pid)
    if process is None or (start is not None and process.start != start):
        os.close(descriptor)
        return None
    return descriptor


def is_namespace(path: str | os.PathLike[str]) -> bool:
    """Whether a namespace is mounted over the file."""
    try:
        return os.stat(path).st_dev != os.stat(os.path.dirname(path)).st_dev
    except OSError:
        return False
