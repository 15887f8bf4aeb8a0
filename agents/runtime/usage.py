"""What containers use, many of them from one walk over /proc. Nothing here keeps anything: whoever asks pays.

Memory is the proportional set size (PSS): processes forked from one image share most of their pages, and each page is
counted once. CPU is what live processes and the children they have waited for used; it may fall when a command that
was started beside the container's own process (`kubectl exec`) ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from . import processes
from .contract import Usage
from .driver import Driver
from .state import ContainerRecord


def of(driver: Driver, records: Iterable[ContainerRecord]) -> dict[str, Usage]:
    """By container id, of those that have a process."""
    return {key: measured(pids) for key, pids in driver.members(list(records)).items()}


def of_own(*pids: int) -> Usage:
    """What the runtime itself uses: this process and others of its own."""
    return measured((os.getpid(), *pids))


def measured(pids: Iterable[int]) -> Usage:
    found = [process for pid in pids if (process := processes.read(pid)) is not None]
    return Usage(
        cpu_seconds=sum(process.cpu_seconds + process.waited_seconds for process in found),
        memory_bytes=sum(processes.proportional_bytes(process) for process in found),
        processes=len(found),
        rss_bytes=sum(process.resident_bytes for process in found),
    )


def as_json(usages: Mapping[str, Usage]) -> dict[str, list[float]]:
    """Small enough for hundreds of containers in one frame."""
    return {key: [use.cpu_seconds, use.memory_bytes, use.processes, use.rss_bytes] for key, use in usages.items()}


def from_json(raw: Mapping[str, list[float]]) -> dict[str, Usage]:
    return {key: Usage(float(cpu), int(memory), int(count), int(rss)) for key, (cpu, memory, count, rss) in raw.items()}
