"""Samples of what the node's containers use: taken when somebody asks, never by a clock of their own.

A rate needs two readings. Who asks again within half a minute gets the rate since the reading before; who asks for the
first time waits `SHORTEST` seconds for a second one.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ..runtime.contract import RUNTIME, Usage

FRESH = 1.0
"""Seconds that a sample is given to all who ask."""
SHORTEST, LONGEST = 0.5, 30.0
"""Seconds between two readings that make a rate; the kernel counts in hundredths."""
KUBELET = "kubelet"
SYSTEM = (KUBELET, RUNTIME)
"""The node's own processes among the samples' keys."""


@dataclass(frozen=True)
class Used:
    """What something uses: `cores` is the rate over the sample's window; `cpu_seconds` never falls."""

    cores: float
    cpu_seconds: float
    memory_bytes: int
    rss_bytes: int
    processes: int


@dataclass(frozen=True)
class Sample:
    """Everything the node's processes used at `at` (seconds since the epoch), by container id and `SYSTEM` name."""

    at: float
    window: float
    used: Mapping[str, Used]
    ended_cpu_seconds: float = 0.0
    """CPU of containers seen before that are gone, so that the node's sum never falls."""


class Runtime(Protocol):
    async def usages(self) -> Mapping[str, Usage]: ...


@dataclass
class _Reading:
    at: float
    usages: Mapping[str, Usage]


@dataclass
class Sampler:
    """`sample` raises RuntimeFailure when the runtime does not answer."""

    runtime: Runtime
    clock: Callable[[], float] = time.time
    _last: _Reading | None = None
    _sample: Sample | None = None
    _peaks: dict[str, float] = field(default_factory=dict)
    _ended: float = 0.0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def sample(self) -> Sample:
        async with self._lock:
            if self._sample is not None and 0 <= self.clock() - self._sample.at < FRESH:
                return self._sample
            before = self._last
            if before is None or not SHORTEST <= self.clock() - before.at <= LONGEST:
                before = await self._read()
                await asyncio.sleep(SHORTEST)
            self._last = after = await self._read()
            self._sample = self._made(before, after)
            return self._sample

    async def _read(self) -> _Reading:
        usages = dict(await self.runtime.usages())
        usages[KUBELET] = own()
        return _Reading(self.clock(), usages)

    def _made(self, before: _Reading, after: _Reading) -> Sample:
        for key in self._peaks.keys() - after.usages.keys():
            self._ended += self._peaks.pop(key)
        window = max(after.at - before.at, 0.01)
        used = {}
        for key, usage in after.usages.items():
            earlier = before.usages[key].cpu_seconds if key in before.usages else 0.0
            self._peaks[key] = peak = max(self._peaks.get(key, 0.0), usage.cpu_seconds)
            cores = max(usage.cpu_seconds - earlier, 0.0) / window
            used[key] = Used(cores, peak, usage.memory_bytes, usage.rss_bytes, usage.processes)
        return Sample(after.at, window, used, self._ended)


def total(parts: list[Used]) -> Used:
    """The sum."""
    return Used(
        sum(part.cores for part in parts),
        sum(part.cpu_seconds for part in parts),
        sum(part.memory_bytes for part in parts),
        sum(part.rss_bytes for part in parts),
        sum(part.processes for part in parts),
    )


def own() -> Usage:
    """What this process uses."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    resident = proportional = 0
    try:
        with open("/proc/self/smaps_rollup", "rb") as file:
            sizes = {line.split()[0]: int(line.split()[1]) * 1024 for line in list(file)[1:]}
        resident, proportional = sizes[b"Rss:"], sizes[b"Pss:"]
    except (OSError, ValueError, KeyError, IndexError):
        resident = proportional = spent.ru_maxrss * 1024
    return Usage(spent.ru_utime + spent.ru_stime, proportional, 1, resident)
