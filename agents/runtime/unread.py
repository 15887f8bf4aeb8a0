"""What a container has written and nobody has read yet, kept while the runtime is away.

A pipe's content lives as long as somebody has the pipe open. Runtime and container may both end before it is read, so
the runtime's client, another process, has it open too; it never reads.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from .contract import Container, ContainerState

_STREAMS = ("stdout", "stderr")


class Unread:
    """Holds the outputs of the containers in `folder` (the runtime's `containers`)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, list[int]] = {}

    def hold(self, container_id: str) -> None:
        """From when it is made; twice is no error."""
        if container_id in self._held:
            return
        self._held[container_id] = held = []
        for stream in _STREAMS:
            try:
                path = self._folder / container_id / stream
                held.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            except OSError:
                continue

    def follow(self, containers: Iterable[Container]) -> None:
        """Hold those that run, let go of those that have ended: the runtime has read to the end before it says so."""
        live = {found.id for found in containers if found.state is not ContainerState.EXITED}
        for container_id in self._held.keys() - live:
            self.release(container_id)
        for container_id in live:
            self.hold(container_id)

    def release(self, container_id: str) -> None:
        for descriptor in self._held.pop(container_id, ()):
            os.close(descriptor)

    def close(self) -> None:
        for container_id in list(self._held):
            self.release(container_id)
