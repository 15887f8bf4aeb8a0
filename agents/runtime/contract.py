"""The runtime's contract: sandboxes and containers, in the verbs of the CRI.

The kubelet programs against `Runtime`; `namespaces` and `plain` are its drivers, `client` speaks to a runtime in
another process. Ids are opaque strings without slashes. Everything the runtime knows survives its own death: after a
restart it lists the same sandboxes and containers, and the exit codes of what ended meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class ContainerState(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True)
class SandboxConfig:
    """A pod's surroundings. `labels` come back in lists; the kubelet keeps pod name, namespace and uid there."""

    name: str
    namespace: str
    uid: str
    attempt: int = 0
    hostname: str = ""
    domain: str = ""
    """What stands behind the hostname in /etc/hosts for pods with a subdomain: sub.namespace.svc.cluster.local."""
    full_hostname: bool = False
    """The processes see hostname and domain as their host's name (setHostnameAsFQDN)."""
    host_network: bool = False
    share_process_namespace: bool = False
    dns_servers: Sequence[str] = ()
    dns_searches: Sequence[str] = ()
    dns_options: Sequence[str] = ()
    host_aliases: Sequence[tuple[str, Sequence[str]]] = ()
    pids_limit: int | None = None
    """Processes and threads of all its containers together."""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sandbox:
    id: str
    config: SandboxConfig
    ip: str
    """The pod's address; the node's own for host_network."""
    ready: bool
    created_at: float
    """Seconds since the epoch, as all times here."""
    warnings: Sequence[str] = ()
    """What was asked for and can't be offered here, a sentence each; for an event."""


@dataclass(frozen=True)
class Mount:
    """A file or folder of the machine shown at `container_path`."""

    container_path: str
    host_path: str
    readonly: bool = False


@dataclass(frozen=True)
class ContainerConfig:
    """One container. `command` and `args` replace the image's entrypoint and arguments; None keeps them."""

    name: str
    image: str
    attempt: int = 0
    command: Sequence[str] | None = None
    args: Sequence[str] | None = None
    working_dir: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    log_path: str = ""
    """Where the runtime writes stdout and stderr, in the CRI's log format. The folder exists."""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    user: int | None = None
    group: int | None = None
    supplemental_groups: Sequence[int] = ()
    readonly_rootfs: bool = False
    privileged: bool = False
    no_new_privileges: bool = False
    add_capabilities: Sequence[str] = ()
    drop_capabilities: Sequence[str] = ()
    target: str | None = None
    """The id of a running container whose processes this one shall see and share (an ephemeral one's target)."""
    memory_limit: int | None = None
    """Bytes."""
    cpu_shares_milli: int | None = None
    cpu_limit_milli: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Container:
    id: str
    sandbox_id: str
    config: ContainerConfig
    state: ContainerState
    image_ref: str
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: int | None = None
    """As the shell tells it: 128 + N when signal N ended the process."""
    signal: int | None = None
    oom_killed: bool = False
    pid: int | None = None
    message: str = ""
    """Why it failed to start, or how its end is known, where the exit code alone doesn't tell."""
    warnings: Sequence[str] = ()
    """What was asked for and can't be offered here, a sentence each; for an event."""


@dataclass(frozen=True)
class ContainerChanged:
    """Something happened to a container: it started or ended. Read its state when you act."""

    container_id: str
    sandbox_id: str


@dataclass(frozen=True)
class ExecResult:
    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True)
class Usage:
    """What a container uses now, cpu in seconds since its start, memory in bytes (working set)."""

    cpu_seconds: float
    memory_bytes: int
    processes: int
    rss_bytes: int = 0
    """Pages in memory, those shared with others in full."""


RUNTIME = "runtime"
"""The runtime's own entry among the usages; no container has such an id."""


class RuntimeFailure(Exception):
    """The runtime could not do what was asked; the message is for an event."""


class NoSuchThing(RuntimeFailure):
    """No sandbox or container with that id."""


class ImageMissing(RuntimeFailure):
    """No image of that name; the message says which package brings it, or what to do."""


class InvalidImageName(ImageMissing):
    """The name is no image reference; trying again is useless."""


class Sandboxes(Protocol):
    async def run_sandbox(self, config: SandboxConfig) -> Sandbox: ...
    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill whatever runs in it and give its address back. Stopping twice is no error."""

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Stop it and forget it with all its containers and files. Removing twice is no error."""

    async def sandboxes(self) -> Sequence[Sandbox]: ...


class Containers(Protocol):
    async def create(self, sandbox_id: str, config: ContainerConfig) -> str: ...
    async def start(self, container_id: str) -> None:
        """Raises RuntimeFailure when the program cannot be executed (the container is then EXITED, code 128)."""

    async def stop(self, container_id: str, grace: float) -> None:
        """SIGTERM, or what the image names instead; SIGKILL after `grace` seconds; returns once it has ended.

        A grace of 0 kills at once.
        """

    async def remove(self, container_id: str) -> None: ...
    async def containers(self) -> Sequence[Container]: ...
    async def of_pod(self, uid: str) -> tuple[Sequence[Sandbox], Sequence[Container]]:
        """The sandboxes and containers of one pod, as the two lists have them: much less on a crowded node."""

    def events(self) -> AbstractAsyncContextManager[AsyncIterator[ContainerChanged]]:
        """Every change from the moment the context is entered. Ends with RuntimeFailure when the runtime goes away."""


class Streams(Protocol):
    async def exec(
        self, container_id: str, command: Sequence[str], *, timeout: float | None = None, stdin: bytes = b""
    ) -> ExecResult:
        """Run a command in the container, output bounded to 64 KiB a stream.

        Raises TimeoutError after `timeout` seconds, the command killed.
        """

    async def usage(self, container_id: str) -> Usage: ...
    async def usages(self) -> Mapping[str, Usage]:
        """Of all running containers by id, and of the runtime itself as `RUNTIME`. Costs a walk over /proc."""


class Session(Protocol):
    """The streams of a command or a container, open until the context that gave it is left."""

    @property
    def streams(self) -> Mapping[str, int]:
        """Non-blocking descriptors: `stdin` to write in, `stdout` and `stderr` to read, those that were asked for and
        are there. With a terminal `stdin` and `stdout` are its other side, and there is no `stderr`."""

    def close(self, stream: str) -> None:
        """Close one of the descriptors, for the end of `stdin`; twice is no error."""

    def resize(self, rows: int, columns: int) -> None:
        """Tell the terminal its size; without a terminal nothing happens."""

    async def wait(self) -> int:
        """The exit code, once the process has ended. Raises RuntimeFailure when it will never be known."""


class Sessions(Protocol):
    """Streams of any length, which do not pass through the runtime itself."""

    def open_exec(
        self, container_id: str, command: Sequence[str], *, streams: Sequence[str], tty: bool = False
    ) -> AbstractAsyncContextManager[Session]:
        """Run a command in the container. `streams` names those wanted. A command still running when the context is
        left gets SIGHUP, and SIGKILL a little later. Raises RuntimeFailure when it can't be started."""

    def attach(self, container_id: str, *, streams: Sequence[str]) -> AbstractAsyncContextManager[Session]:
        """The container's own streams; outputs from now on. `stdin` is there if the container has one. Leaving the
        context ends nothing but, with `stdin_once`, the container's input."""

    async def connect(self, sandbox_id: str, port: int) -> int:
        """A TCP connection to the pod's own localhost: a non-blocking socket's descriptor, the caller's.

        Raises RuntimeFailure when nothing listens there."""


class Images(Protocol):
    async def pull(self, image: str) -> str:
        """Make the image ready and return its reference. Raises ImageMissing."""

    async def image_user(self, image: str) -> int:
        """The user as which the image's program runs where the container names none. Raises ImageMissing."""


class Runtime(Sandboxes, Containers, Streams, Sessions, Images, Protocol):
    """The whole contract; a consumer that needs less declares less."""
