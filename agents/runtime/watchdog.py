"""Limits without cgroups: an ordinary user's containers are watched, and kept within their limits by signals.

Memory: a container whose processes together keep more than its limit (PSS) is killed, as the kernel would (137,
OOMKilled). CPU: a container that has used more than its share is stopped (SIGSTOP) until its share has caught up.
Processes: of a pod that has more than it may, the newest are killed, as if they had not been started.
Nothing runs while no limited container does, and one look a second is enough for those that are far from their limits.
`Guard` decides, purely; `Watchdog` looks and sends signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from panal import tasks

from . import processes
from .processes import Process
from .state import ContainerRecord

CALM, NEAR, HELD = 1.0, 0.2, 0.05
"""Seconds between looks: far from every limit; past half of one; while a container is held back."""
BURST = 0.1
"""Seconds' worth of its share that a container may save up: the kernel's period."""
WORDS = "limits are kept by watching the processes, since this machine lets Panal make no cgroups"


class Verdict(Enum):
    CALM = "calm"
    NEAR = "near"
    HOLD = "hold"
    """Stop it, or leave it stopped."""
    KILL = "kill"


@dataclass
class Guard:
    """One container's account. `cores` and `memory` are its limits, None without."""

    memory: int | None
    cores: float | None
    saved: float = 0.0
    """CPU seconds it may still use; negative while it has used too much."""
    used: float | None = None
    at: float = 0.0

    def look(self, now: float, cpu_seconds: float, resident: int, proportional: Callable[[], int]) -> Verdict:
        """`proportional` is asked only when the resident set, which is never less, exceeds the limit."""
        if self.memory is not None and resident > self.memory and proportional() > self.memory:
            return Verdict.KILL
        near = self.memory is not None and resident * 2 > self.memory
        if self.cores is None:
            return Verdict.NEAR if near else Verdict.CALM
        spent = 0.0 if self.used is None else max(cpu_seconds - self.used, 0.0)
        earned = 0.0 if self.used is None else self.cores * (now - self.at)
        self.saved = min(self.saved + earned, max(self.cores * BURST, earned)) - spent
        self.saved = min(self.saved, self.cores * BURST)
        self.used, self.at = cpu_seconds, now
        if self.saved < 0:
            return Verdict.HOLD
        return Verdict.NEAR if near or spent * 2 > earned > 0 else Verdict.CALM


@dataclass
class _Watched:
    record: ContainerRecord
    guard: Guard
    most: int | None = None
    """Processes of the whole pod."""
    held: bool = False


def surplus(found: Sequence[Process], most: int, first: Collection[int]) -> list[Process]:
    """Those to end of a pod's processes: the newest beyond its limit, but never a container's `first`. Pure."""
    extra = len(found) - most
    if extra <= 0:
        return []
    others = [process for process in found if process.pid not in first]
    return sorted(others, key=lambda process: (process.start, process.pid), reverse=True)[:extra]


@dataclass
class Watchdog:
    """`condemned` is called with a container that is killed for its memory, just before."""

    condemned: Callable[[ContainerRecord], None]
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def watch(self, record: ContainerRecord, most: int | None = None) -> None:
        """From its start, or from when it was taken up, to `forget`. One that was left stopped goes on.

        `most` is how many processes its pod may have."""
        config = record.config
        cores = config.cpu_limit_milli / 1000 if config.cpu_limit_milli else None
        self._watched[record.id] = _Watched(record, Guard(config.memory_limit, cores), most)
        if cores is not None:
            _signal(self._processes(record), signal.SIGCONT)
        if self._task is None:
            self._task = tasks.spawn(self._run(), name="limits")
        self._more.set()

    def forget(self, container_id: str) -> None:
        self._watched.pop(container_id, None)

    def close(self) -> None:
        """Let go of all that are held."""
        for item in self._watched.values():
            if item.held:
                _signal(self._processes(item.record), signal.SIGCONT)
        self._watched.clear()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while self._watched:
            pause = min([self._look(item) for item in list(self._watched.values())])
            self._more.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._more.wait()
        self._task = None

    def _look(self, item: _Watched) -> float:
        found = self._processes(item.record)
        verdict = item.guard.look(
            time.monotonic(),
            sum(process.cpu_seconds + process.waited_seconds for process in found),
            sum(process.resident_bytes for process in found),
            lambda: sum(map(processes.proportional_bytes, found)),
        )
        if verdict is Verdict.KILL:
            self.forget(item.record.id)
            self.condemned(item.record)
            _signal(found, signal.SIGKILL)
            return NEAR
        crowded = item.most is not None and self._count(item, found, item.most)
        hold = verdict is Verdict.HOLD
        if hold or item.held:
            _signal(found, signal.SIGSTOP if hold else signal.SIGCONT)
        item.held = hold
        return {Verdict.HOLD: HELD, Verdict.NEAR: NEAR}.get(verdict, HELD if crowded else CALM)

    def _count(self, item: _Watched, mine: list[Process], most: int) -> bool:
        """Keep the pod within its number of processes; whether it is near it."""
        pod = [other for other in self._watched.values() if other.record.sandbox_id == item.record.sandbox_id]
        found = [*mine, *(process for other in pod if other is not item for process in self._processes(other.record))]
        first = {other.record.pid for other in pod if other.record.pid is not None}
        _signal(surplus(found, most, first), signal.SIGKILL)
        return len(found) * 2 > most

    def _processes(self, record: ContainerRecord) -> list[Process]:
        """The container's first process and all that descends from it."""
        if record.pid is None:
            return []
        root = processes.read(record.pid)
        if root is None or (record.start is not None and root.start != record.start):
            return []
        return [root, *processes.descendants(record.pid)]


def _signal(found: Iterable[Process], number: int) -> None:
    for process in found:
        with contextlib.suppress(OSError):
            os.kill(process.pid, number)
