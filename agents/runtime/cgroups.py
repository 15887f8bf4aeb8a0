"""Limits by cgroups, v1 or v2, where this process may write them: as the machine's root.

Folders are `panal/CLUSTER/CONTAINER` below each controller (`panal.cgroups`). How many processes a pod may have is kept
by a folder that its containers share, `panal/CLUSTER/SANDBOX`: of the controller `pids`, or above theirs. Elsewhere
limits are kept by `watchdog`, and a warning says so.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from panal.cgroups import ROOT

from .contract import ContainerConfig, SandboxConfig

_PERIOD = 100_000
"""Microseconds, the kernel's default."""


def limits(config: ContainerConfig, sandbox: SandboxConfig | None = None) -> bool:
    """Whether the container must be kept within something. Requests alone aren't worth it: entering a cgroup takes
    the kernel longer than all the rest of a start."""
    together = sandbox is not None and sandbox.pids_limit is not None
    return together or config.memory_limit is not None or config.cpu_limit_milli is not None


class Cgroups:
    """`cluster` names the folder; nothing is made until a container needs it."""

    def __init__(self, cluster: str, root: Path = ROOT) -> None:
        self._cluster, self._root = cluster, root
        self.unified = (root / "cgroup.controllers").exists()

    def available(self, *, pids: bool = False) -> bool:
        names = ["memory", "cpu", *(["pids"] if pids else [])]
        places = [self._root] if self.unified else [self._root / name for name in names]
        return all(os.access(place, os.W_OK) and (place / "cgroup.procs").exists() for place in places)

    def create(self, container_id: str, config: ContainerConfig, pod: tuple[str, int] | None = None) -> tuple[str, ...]:
        """Make the container's cgroups and return their folders; `pod` is its sandbox's id and limit of processes.

        Raises OSError."""
        if self.unified:
            return (self._create_unified(container_id, config, pod),)
        made = [("memory", _memory_v1(config)), ("cpu", _cpu_v1(config)), ("cpuacct", {})] if limits(config) else []
        folders = []
        if pod is not None:
            place = self._root / "pids" / "panal" / self._cluster / pod[0]
            folders.append(_make(place, {"pids.max": str(pod[1])}))
        for controller, values in made:
            if (self._root / controller).is_dir():
                folders.append(_make(self._root / controller / "panal" / self._cluster / container_id, values))
        return tuple(folders)

    def _create_unified(self, container_id: str, config: ContainerConfig, pod: tuple[str, int] | None) -> str:
        controllers = "+memory +cpu" if pod is None else "+memory +cpu +pids"
        folder = self._root
        for name in ("panal", self._cluster, *([pod[0]] if pod is not None else [])):
            (folder / "cgroup.subtree_control").write_text(controllers)
            folder = folder / name
            folder.mkdir(exist_ok=True)
        if pod is not None:
            (folder / "pids.max").write_text(str(pod[1]))
        (folder / "cgroup.subtree_control").write_text("+memory +cpu")
        return _make(folder / container_id, _values_v2(config))


def _make(folder: Path, values: dict[str, str]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name).write_text(value)
    return str(folder)


def shares(milli: int) -> int:
    """Kubernetes' MilliCPUToShares."""
    return min(max(milli * 1024 // 1000, 2), 262144)


def _memory_v1(config: ContainerConfig) -> dict[str, str]:
    return {} if config.memory_limit is None else {"memory.limit_in_bytes": str(config.memory_limit)}


def _cpu_v1(config: ContainerConfig) -> dict[str, str]:
    values = {}
    if config.cpu_shares_milli is not None:
        values["cpu.shares"] = str(shares(config.cpu_shares_milli))
    if config.cpu_limit_milli:
        values["cpu.cfs_quota_us"] = str(max(config.cpu_limit_milli * _PERIOD // 1000, 1000))
    return values


def _values_v2(config: ContainerConfig) -> dict[str, str]:
    values = {}
    if config.memory_limit is not None:
        values["memory.max"] = str(config.memory_limit)
    if config.cpu_shares_milli is not None:
        values["cpu.weight"] = str(1 + (shares(config.cpu_shares_milli) - 2) * 9999 // 262142)
    if config.cpu_limit_milli:
        values["cpu.max"] = f"{max(config.cpu_limit_milli * _PERIOD // 1000, 1000)} {_PERIOD}"
    return values


def oom_killed(folders: tuple[str, ...]) -> bool:
    """Whether the kernel has killed something in these cgroups for want of memory."""
    for folder in folders:
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError):
                for line in Path(folder, name).read_text().splitlines():
                    key, _, value = line.partition(" ")
                    if key == "oom_kill" and value != "0":
                        return True
    return False


def remove(folders: tuple[str, ...]) -> None:
    """Remove the container's cgroups, and the pod's and the cluster's when they were the last."""
    for folder in folders:
        for place in (Path(folder), *list(Path(folder).parents)[:3]):
            with contextlib.suppress(OSError):
                place.rmdir()
