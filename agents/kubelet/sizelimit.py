"""emptyDir's sizeLimit: a pod whose folder has grown beyond it is evicted. Nobody looks while no pod has a limit.

Folders are measured every ten seconds, as upstream does; what is written between two looks is not refused.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from panal import quantity

from . import podspec
from .model import End, Phase
from .podspec import Pod

PERIOD = 10.0
"""Seconds between two looks (upstream's housekeeping interval)."""


def limits(pod: Pod) -> dict[str, str]:
    """The pod's limited volumes, with their limits as they are written; nought is none."""
    found = {
        volume["name"]: str((volume.get("emptyDir") or {}).get("sizeLimit") or "0")
        for volume in pod["spec"].get("volumes") or ()
    }
    return {name: limit for name, limit in found.items() if quantity.whole(limit) > 0}


def verdict(pod: Pod, used: Mapping[str, int]) -> End | None:
    """Why the pod has to go, its volumes holding `used` bytes."""
    for name, limit in limits(pod).items():
        if used.get(name, 0) > quantity.whole(limit):
            words = f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit}". '
            return End(Phase.FAILED, "Evicted", words, 1.0)
    return None


def size(folder: Path) -> int:
    """Bytes that the folder takes on disk; what vanishes meanwhile counts for nothing. Blocks."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
            except OSError:
                continue
    return total


class SizeLimits:
    """`run` until cancelled; `noticed` is told of every new pod."""

    def __init__(
        self, pods: Callable[[], Sequence[Pod]], folder: Callable[[Pod, str], Path], evict: Callable[[Pod, End], None]
    ) -> None:
        self._pods = pods
        self._folder = folder
        self._evict = evict
        self._some = asyncio.Event()

    def noticed(self, pod: Pod) -> None:
        if limits(pod):
            self._some.set()

    async def run(self) -> None:
        while True:
            await self._some.wait()
            await asyncio.sleep(PERIOD)
            limited = [pod for pod in self._pods() if limits(pod) and not podspec.deleted(pod)]
            if not limited:
                self._some.clear()
            for pod in limited:
                used = {name: await asyncio.to_thread(size, self._folder(pod, name)) for name in limits(pod)}
                if (end := verdict(pod, used)) is not None:
                    self._evict(pod, end)
