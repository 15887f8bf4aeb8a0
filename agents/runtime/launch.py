"""Starting a container's process: its limits, its streams, and the driver's request given to the spawner."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from . import cgroups, stdio, watchdog
from .cgroups import Cgroups
from .driver import Driver
from .life import Life
from .logs import Pump
from .place import Store
from .request import SpawnRequest
from .session import connected
from .spawner import Spawner, SpawnFailed
from .state import ContainerRecord, SandboxRecord, State
from .stdio import Stdio

_log = logging.getLogger(__name__)


def limit(sandbox: SandboxRecord, record: ContainerRecord, places: Cgroups | None) -> list[str]:
    """Put limits in force, or say that they aren't."""
    if not cgroups.limits(record.config, sandbox.config):
        return []
    most = sandbox.config.pids_limit
    pod = (sandbox.id, most) if most is not None else None
    try:
        if places is not None and places.available(pids=pod is not None):
            record.cgroups = places.create(record.id, record.config, pod)
            return []
    except OSError as error:
        _log.warning("no cgroup for container %s: %s", record.id, error)
    return [watchdog.WORDS]


def pump(record: ContainerRecord, folder: Path) -> Pump | None:
    """What carries the container's outputs to its log; `folder` is the container's own. Raises OSError."""
    if not record.config.log_path:
        return None
    return Pump({name: folder / name for name in stdio.OUTPUTS}, Path(record.config.log_path))


class Launcher:
    def __init__(self, state: State, spawner: Spawner, driver: Driver, store: Store) -> None:
        self._state, self._spawner, self._driver, self._store = state, spawner, driver, store

    async def launch(
        self, sandbox: SandboxRecord, record: ContainerRecord, target: int | None
    ) -> tuple[Life, tuple[str, ...]]:
        """The running process and the driver's warnings; `target` as in `Driver.prepare`.

        Raises SpawnFailed, OSError, RuntimeFailure; nothing is left running then.
        """
        folder = self._state.container_folder(record.id)
        shown = self._store.shown(record)
        carrier = pump(record, folder)
        try:
            while True:
                prepared = self._driver.prepare(sandbox, shown, folder, target)
                try:
                    pid, kept = await self._spawn(prepared.request, record, folder)
                    break
                except SpawnFailed as failure:
                    if not self._driver.again(failure):
                        raise
                    _log.warning("%s; trying another way", failure.strerror)
        except BaseException:
            if carrier is not None:
                carrier.finish()
            raise
        if carrier is not None:
            carrier.watch()
        return Life(pid, carrier, stdin=kept), prepared.warnings

    async def _spawn(self, request: SpawnRequest, record: ContainerRecord, folder: Path) -> tuple[int, int | None]:
        """The process, and what keeps its input open."""
        streams = Stdio(folder, record.config)
        try:
            await streams.start_terminal(self._spawner)
            kept = stdio.keep_stdin(folder, record.config)
            try:
                return await self._spawner.spawn(connected(request, streams.child, record.config.tty)), kept
            except BaseException:
                if kept is not None:
                    os.close(kept)
                raise
        finally:
            streams.close()
