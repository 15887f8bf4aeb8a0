"""emptyDir's sizeLimit and limits of ephemeral storage: a pod that has grown beyond one is evicted.

Nobody looks while no pod has a limit. Folders are measured every ten seconds, as upstream does; what is written
between two looks is not refused. Ephemeral storage is what lies in emptyDirs and logs: what a container writes
elsewhere is in memory, and counts there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from panal import quantity
from panal.podresources import effective

from . import podspec
from .model import End, Phase
from .podspec import Pod

STORAGE = "ephemeral-storage"
PERIOD = 10.0
"""Seconds between two looks (upstream's housekeeping interval)."""


def limits(pod: Pod) -> dict[str, str]:
    """The pod's limited volumes, with their limits as they are written; nought is none."""
    found = {
        volume["name"]: str((volume.get("emptyDir") or {}).get("sizeLimit") or "0")
        for volume in pod["spec"].get("volumes") or ()
    }
    return {name: limit for name, limit in found.items() if quantity.whole(limit) > 0}


@dataclass(frozen=True)
class Use:
    """Bytes that a pod holds on disk."""

    volumes: Mapping[str, int]
    """Of its emptyDirs, by name."""
    logs: Mapping[str, int] = field(default_factory=dict)
    """By container."""


def is_limited(pod: Pod) -> bool:
    return bool(limits(pod)) or any(_limit(spec) for spec in _containers(pod))


def verdict(pod: Pod, used: Use) -> End | None:
    """Why the pod has to go; None while it stays within its limits."""
    for name, limit in limits(pod).items():
        if used.volumes.get(name, 0) > quantity.whole(limit):
            return _evicted(f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit}". ')
    whole = effective(pod, "limits", STORAGE)
    on_disk = sum(used.volumes.get(volume["name"], 0) for volume in _empty_dirs(pod) if not _in_memory(volume))
    if whole and on_disk + sum(used.logs.values()) > whole:
        words = f"Pod ephemeral local storage usage exceeds the total limit of containers {_written(pod, whole)}. "
        return _evicted(words)
    for spec in _containers(pod):
        limit = _limit(spec)
        if limit and used.logs.get(spec["name"], 0) > quantity.whole(limit):
            return _evicted(f'Container {spec["name"]} exceeded its local ephemeral storage limit "{limit}". ')
    return None


def _evicted(words: str) -> End:
    return End(Phase.FAILED, "Evicted", words, 1.0)


def _empty_dirs(pod: Pod) -> list[Mapping[str, Any]]:
    return [volume for volume in pod["spec"].get("volumes") or () if volume.get("emptyDir") is not None]


def _in_memory(volume: Mapping[str, Any]) -> bool:
    return bool(volume["emptyDir"].get("medium") == "Memory")


def _containers(pod: Pod) -> list[podspec.ContainerSpec]:
    return [*podspec.init_containers(pod), *podspec.containers(pod)]


def _limit(spec: podspec.ContainerSpec) -> str:
    return str(((spec.get("resources") or {}).get("limits") or {}).get(STORAGE) or "")


def _written(pod: Pod, whole: int) -> str:
    """As the manifest has it, where one container alone is limited."""
    said = [limit for spec in _containers(pod) if (limit := _limit(spec))]
    return said[0] if len(said) == 1 else quantity.format_binary(whole)


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
        self,
        pods: Callable[[], Sequence[Pod]],
        volume: Callable[[Pod, str], Path],
        logs: Callable[[Pod], Path],
        evict: Callable[[Pod, End], None],
    ) -> None:
        """`volume` is an emptyDir's folder, `logs` has one folder a container."""
        self._pods = pods
        self._volume = volume
        self._logs = logs
        self._evict = evict
        self._some = asyncio.Event()

    def noticed(self, pod: Pod) -> None:
        if is_limited(pod):
            self._some.set()

    async def run(self) -> None:
        while True:
            await self._some.wait()
            await asyncio.sleep(PERIOD)
            limited = [pod for pod in self._pods() if is_limited(pod) and not podspec.deleted(pod)]
            if not limited:
                self._some.clear()
            for pod in limited:
                if (end := verdict(pod, await asyncio.to_thread(self._measured, pod))) is not None:
                    self._evict(pod, end)

    def _measured(self, pod: Pod) -> Use:
        logs = self._logs(pod)
        return Use(
            {volume["name"]: size(self._volume(pod, volume["name"])) for volume in _empty_dirs(pod)},
            {spec["name"]: size(logs / spec["name"]) for spec in _containers(pod)},
        )
