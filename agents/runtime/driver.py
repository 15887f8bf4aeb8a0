"""What the engine asks of a driver: how a container's process is to be started, and what is taken away after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .contract import RuntimeFailure
from .request import SpawnRequest
from .spawner import SpawnFailed
from .state import ContainerRecord, SandboxRecord


@dataclass(frozen=True)
class Prepared:
    """A request without its outputs, and what couldn't be offered."""

    request: SpawnRequest
    warnings: tuple[str, ...] = ()


class Driver(Protocol):
    def prepare(
        self, sandbox: SandboxRecord, container: ContainerRecord, folder: Path, target: int | None = None
    ) -> Prepared:
        """Lay out `folder`, the container's own, and say what to spawn; `target` is a process whose namespace of
        processes the container shall enter. Blocks for a moment. Raises RuntimeFailure."""

    def pause(self, sandbox: SandboxRecord) -> SpawnRequest | None:
        """What holds the sandbox's process namespace, when it needs one."""

    def again(self, failure: SpawnFailed) -> bool:
        """Whether, after this failure, `prepare` will ask for something the kernel may allow."""

    def exec(self, sandbox: SandboxRecord, container: ContainerRecord, command: Sequence[str]) -> SpawnRequest:
        """What runs `command` beside the container's process."""

    def processes(self, container: ContainerRecord) -> list[int]:
        """The pids of all that runs in it."""

    def members(self, containers: Sequence[ContainerRecord]) -> dict[str, list[int]]:
        """The same for many at once, by container id, from one walk over /proc."""

    def end(self, container: ContainerRecord) -> None:
        """Kill what its first process left behind."""

    def release(self, sandbox: SandboxRecord) -> None:
        """Take away what the sandbox holds besides its network."""


def check_path(path: str) -> str:
    """A mount path, normalised. Raises RuntimeFailure for one that isn't absolute, or is `/`."""
    import os.path

    normal = os.path.normpath(path)
    if not normal.startswith("/") or normal.strip("/") == "" or "\0" in path:
        raise RuntimeFailure(f'invalid mount path "{path}": it must be absolute and not /')
    return "/" + normal.lstrip("/")
