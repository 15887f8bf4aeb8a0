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
        self._of_pod: dict[str, set[str]] = {}
        """Which containers a pod was last said to have."""

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
        known = list(containers)
        for container_id in self._held.keys() - {found.id for found in known}:
            self.release(container_id)
        self._notice(known)

    def follow_pod(self, uid: str, containers: Iterable[Container]) -> None:
        """The same for those of one pod."""
        known = list(containers)
        for container_id in self._of_pod.pop(uid, set()) - {found.id for found in known}:
            self.release(container_id)
        if known:
            self._of_pod[uid] = {found.id for found in known}
        self._notice(known)

    def _notice(self, containers: Iterable[Container]) -> None:
        for found in containers:
            if found.state is ContainerState.EXITED:
                self.release(found.id)
            else:
                self.hold(found.id)

    def release(self, container_id: str) -> None:
        for descriptor in self._held.pop(container_id, ()):
            os.close(descriptor)

    def close(self) -> None:
        for container_id in list(self._held):
            self.release(container_id)
