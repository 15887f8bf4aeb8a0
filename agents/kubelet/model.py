"""What the kubelet's pure core speaks: what is seen of a pod, and what is to be done about it.

`Seen` is a snapshot that the worker builds from the runtime's lists and its own memory; `Action`s are performed by the
worker, each in a task of its own, while `Seen.busy` keeps the core from asking for the same thing twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ..runtime.contract import Container, ContainerState, Sandbox
from .backoff import Backoff

SANDBOX = "/sandbox"
VOLUMES = "/volumes"
FINISH = "/finish"
"""Keys of `Seen.busy` that are no container's name (those have no slash)."""


class Phase(StrEnum):
    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True)
class Failure:
    """Why a container could not be started; `retry_at` is when to try again."""

    reason: str
    message: str
    at: float
    retry_at: float


@dataclass(frozen=True)
class Busy:
    """Something under way. `deadline` is when a container being stopped is killed at the latest."""

    deadline: float | None = None


@dataclass(frozen=True)
class End:
    """Why a pod must end though nobody deleted it; goes into its status."""

    phase: Phase
    reason: str
    message: str
    grace: float | None = None
    """Seconds its containers may take, where the pod's own grace does not count."""


@dataclass(frozen=True)
class Seen:
    """One pod as it is now. Containers are by name, oldest attempt first, of every sandbox the pod had."""

    sandbox: Sandbox | None = None
    old_sandboxes: Sequence[Sandbox] = ()
    """The sandboxes the pod had before."""
    containers: Mapping[str, Sequence[Container]] = field(default_factory=dict)
    volumes_ready: bool = False
    volumes_retry_at: float = 0.0
    sandbox_retry_at: float = 0.0
    started: frozenset[str] = frozenset()
    """Ids of containers whose startup probe has passed, or that have none."""
    ready: frozenset[str] = frozenset()
    """Ids of containers whose readiness probe passes, or that have none."""
    unhealthy: Mapping[str, str] = field(default_factory=dict)
    """Ids of containers that failed their `liveness` or `startup` probe."""
    failures: Mapping[str, Failure] = field(default_factory=dict)
    backoffs: Mapping[str, Backoff] = field(default_factory=dict)
    announced: frozenset[str] = frozenset()
    """Ids of ended containers whose back-off has been told in an event."""
    busy: Mapping[str, Busy] = field(default_factory=dict)
    removed: bool = False
    """The pod is gone from its source (deleted from the API by force, or its file is gone)."""
    end: End | None = None
    began_at: float | None = None
    """When the kubelet first saw the pod (status.startTime)."""

    def latest(self, name: str) -> Container | None:
        attempts = self.containers.get(name)
        return attempts[-1] if attempts else None

    def current(self, name: str) -> Container | None:
        """The newest attempt if it belongs to the pod's present sandbox."""
        found = self.latest(name)
        return found if found and self.sandbox and found.sandbox_id == self.sandbox.id else None

    def running(self) -> Sequence[Container]:
        return [
            attempt
            for attempts in self.containers.values()
            for attempt in attempts
            if attempt.state is ContainerState.RUNNING
        ]


@dataclass(frozen=True)
class RunSandbox:
    attempt: int


@dataclass(frozen=True)
class StopSandbox:
    sandbox_id: str


@dataclass(frozen=True)
class MountVolumes:
    pass


@dataclass(frozen=True)
class Start:
    """Pull, create and start a container. `backoff` is what holds from now on for its next restart."""

    name: str
    attempt: int
    backoff: Backoff | None = None


@dataclass(frozen=True)
class Kill:
    """Run the preStop hook, then stop. `message` is the Killing event's."""

    container_id: str
    name: str
    grace: float
    message: str


@dataclass(frozen=True)
class Remove:
    """Forget an old attempt."""

    container_id: str


@dataclass(frozen=True)
class RemoveSandbox:
    """Forget an earlier sandbox whose containers nobody asks for any more."""

    sandbox_id: str


@dataclass(frozen=True)
class Announce:
    """Tell in an event that a container waits for its restart (`kind` crash) or its image (`kind` image)."""

    name: str
    kind: str
    container_id: str = ""


@dataclass(frozen=True)
class Finish:
    """Everything has ended and the pod is deleted: last status, delete it from the API, remove its files."""


@dataclass(frozen=True)
class LookAgain:
    """Nothing may happen by itself until `at`; decide again then."""

    at: float


Action = RunSandbox | StopSandbox | MountVolumes | Start | Kill | Remove | RemoveSandbox | Announce | Finish | LookAgain
