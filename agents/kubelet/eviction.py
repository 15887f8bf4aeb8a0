"""Node-pressure eviction: when the node's memory runs out, what exceeds its requests goes first.

The node's capacity is a setting; its use is what its pods, kubelet and runtime keep (PSS). Below `THRESHOLD` bytes of
what is left the node says MemoryPressure and one pod after the other is ended, by upstream's order: those above their
requests before the others, then by priority, then by how much they are above. Words are upstream's too
(pkg/kubelet/eviction/helpers.go). `rank`, `message` and `pause` are pure.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from panal.podresources import effective

from ..runtime.contract import Container, RuntimeFailure, Usage
from . import podspec
from .model import End, Phase
from .podspec import Pod

_log = logging.getLogger(__name__)

THRESHOLD = 100 << 20
"""memory.available<100Mi, upstream's default for a hard eviction."""
TRANSITION = 300.0
"""Seconds that MemoryPressure stays after the last time the threshold was met (upstream's transition period)."""
CRITICAL = 2_000_000_000
"""Pods of this priority, and static ones, are never evicted."""
FAR, MIDDLE, NEAR = 30.0, 10.0, 1.0
"""Seconds between looks: with more than half of the memory free; more than a quarter; less."""
SETTLE = 2.0
"""Seconds from a change to the look that it asks for: programs take their memory first, and changes come in crowds."""
GRACE = 1.0


@dataclass(frozen=True)
class Candidate:
    """A pod that runs, and its running containers with the bytes each keeps."""

    pod: Pod
    containers: Sequence[tuple[Container, int]]

    @property
    def used(self) -> int:
        return sum(used for _, used in self.containers)

    @property
    def above(self) -> int:
        """Bytes above the pod's request; negative below."""
        return self.used - effective(self.pod, "requests", "memory")


def rank(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Who may be evicted, the first to go first."""
    every = [item for item in candidates if not _critical(item.pod) and not podspec.deleted(item.pod)]
    return sorted(every, key=lambda item: (item.above <= 0, _priority(item.pod), -item.above))


def _priority(pod: Pod) -> int:
    return int(pod["spec"].get("priority") or 0)


def _critical(pod: Pod) -> bool:
    return podspec.is_static(pod) or _priority(pod) >= CRITICAL


def message(candidate: Candidate, available: int) -> str:
    """Why this pod goes."""
    words = "The node was low on resource: memory. "
    words += f"Threshold quantity: {THRESHOLD >> 20}Mi, available: {max(available, 0) >> 10}Ki. "
    for found, used in candidate.containers:
        spec = podspec.container(candidate.pod, found.config.name) or {}
        requested = effective({"spec": {"containers": [spec]}}, "requests", "memory")
        if used > requested:
            shown = f"{requested >> 10}Ki" if requested else "0"
            words += f"Container {found.config.name} was using {used >> 10}Ki, request is {shown}, "
            words += "has larger consumption of memory. "
    return words


def pause(available: int, capacity: int) -> float:
    """Seconds until the next look."""
    if available * 2 > capacity:
        return FAR
    return MIDDLE if available * 4 > capacity else NEAR


@dataclass
class Evictor:
    """`run` until cancelled. Everything it needs of the kubelet is a function."""

    capacity: int
    usages: Callable[[], Awaitable[Mapping[str, Usage]]]
    """What runs, by container id; may raise RuntimeFailure."""
    own: Callable[[], Usage]
    pods: Callable[[], Sequence[tuple[Pod, Sequence[Container]]]]
    evict: Callable[[Pod, End], None]
    pressure: Callable[[bool], None]
    _met_at: float | None = None
    _soon: asyncio.Event = field(default_factory=asyncio.Event)

    def soon(self) -> None:
        """A container has started or ended: look in a moment, however calm it was."""
        self._soon.set()

    async def run(self) -> None:
        wait = NEAR
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._soon.wait()
                    await asyncio.sleep(SETTLE)
            self._soon.clear()
            try:
                wait = self.look(await self.usages(), time.monotonic())
            except (RuntimeFailure, OSError) as error:
                _log.debug("use of memory: %s", error)
                wait = MIDDLE

    def look(self, usages: Mapping[str, Usage], now: float) -> float:
        """Evict one pod if memory has run out; the seconds until the next look."""
        available = self.capacity - self.own().memory_bytes - sum(each.memory_bytes for each in usages.values())
        if available < THRESHOLD:
            self._met_at = now
            self.pressure(True)
            self._evict(usages, available)
        elif self._met_at is not None and now - self._met_at >= TRANSITION:
            self._met_at = None
            self.pressure(False)
        return pause(available, self.capacity)

    def _evict(self, usages: Mapping[str, Usage], available: int) -> None:
        candidates = [
            Candidate(pod, [(item, usages[item.id].memory_bytes) for item in running if item.id in usages])
            for pod, running in self.pods()
        ]
        ranked = rank([item for item in candidates if item.containers])
        if not ranked:
            _log.warning("memory has run out, and no pod may be evicted")
            return
        first = ranked[0]
        _log.warning("evicting pod %s", podspec.described(first.pod))
        self.evict(first.pod, End(Phase.FAILED, "Evicted", message(first, available), GRACE))
