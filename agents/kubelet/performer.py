"""Performs what `decide` asks for one pod, and remembers how it went."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from panal.client import Unreachable
from panal.errors import Conflict, NotFound, StatusError
from panal.resources import PODS

from ..runtime.contract import Container, ContainerState, ImageMissing, InvalidImageName, Mount, RuntimeFailure
from . import backoff, claims, crilog, podspec, requests
from .backoff import Backoff
from .dns import resolv
from .env import ConfigError, environment, own_variables
from .handlers import Target
from .model import Announce, End, Failure, Kill, Start
from .mounter import TERMINATION_LOG
from .podspec import ContainerSpec, Pod
from .reporter import Reporter
from .shared import Shared
from .turns import Stage
from .unsupported import unsupported
from .volumes import VolumeError

_log = logging.getLogger(__name__)

CONFIG_RETRY = 10.0
"""Seconds until a container that could not be configured is tried again, unless what it lacks appears before."""

IMAGE_RETRY = 12.0
"""Seconds until an image is looked for again that cannot be had, no back-off applying (upstream's sync of a pod)."""

SANDBOX_RETRY = 1.0
MOUNT_RETRY_FIRST, MOUNT_RETRY_MOST = 0.5, 122.0
"""Upstream's back-off of volume operations."""

LEAST_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL at least, when the preStop hook has used up the grace (upstream's minimum)."""

MESSAGE_LIMIT = 4096
LOG_LINES, LOG_BYTES = 80, 2048
"""Bounds of a termination message: its file; the end of the log with FallbackToLogsOnError."""

_DELETE_RETRY_FIRST, _DELETE_RETRY_MOST = 0.02, 1.0


@dataclass
class Memory:
    """What a worker knows of its pod beyond the runtime's lists. Lost with the kubelet, as upstream's is."""

    volumes: Mapping[str, Path] | None = None
    volumes_retry_at: float = 0.0
    volumes_delay: float = MOUNT_RETRY_FIRST
    sandbox_retry_at: float = 0.0
    failures: dict[str, Failure] = field(default_factory=dict)
    backoffs: dict[str, Backoff] = field(default_factory=dict)
    pulls: dict[str, Backoff] = field(default_factory=dict)
    """By image."""
    announced: set[str] = field(default_factory=set)
    messages: dict[str, str] = field(default_factory=dict)
    starting: set[str] = field(default_factory=set)
    """Ids of containers whose postStart hook has not ended: they are not probed yet."""
    removed: bool = False
    finished: bool = False
    end: End | None = None
    rejected: bool = False
    """The node did not take the pod; its status says only that."""
    began_at: float | None = None

    def try_again(self) -> None:
        """Forget how long to wait where an object of the API was missing."""
        self.volumes_retry_at = 0.0
        for name, failure in list(self.failures.items()):
            if failure.reason == "CreateContainerConfigError":
                self.failures[name] = Failure(failure.reason, failure.message, failure.at, 0.0)


class Performer:
    """The hands of one worker."""

    def __init__(self, shared: Shared, memory: Memory, reporter: Reporter, pod: Callable[[], Pod]) -> None:
        self._shared = shared
        self._memory = memory
        self._reporter = reporter
        self._pod = pod

    async def run_sandbox(self, attempt: int) -> None:
        pod, shared = self._pod(), self._shared
        config = shared.config
        names = resolv(pod, cluster_dns=config.cluster_dns, domain=config.cluster_domain, node=shared.node_resolv)
        if attempt > 0:
            shared.event(pod, "Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
        if attempt == 0:
            for words in unsupported(pod):
                shared.event(pod, "Warning", "RuntimeLimit", words)
        try:
            node = config.node
            asked = requests.sandbox_config(pod, attempt, names, node.name, config.cluster_domain, node.pod_pids_limit)
            async with shared.turns.turn(Stage.SANDBOX):
                await shared.runtime.run_sandbox(asked)
            await shared.view.refresh(podspec.uid(pod))
        except (RuntimeFailure, OSError, ConfigError) as error:
            self._memory.sandbox_retry_at = time.time() + SANDBOX_RETRY
            shared.event(pod, "Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self._quietly(self._shared.runtime.stop_sandbox(sandbox_id))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self._quietly(self._shared.runtime.remove_sandbox(sandbox_id))

    async def remove_container(self, container_id: str) -> None:
        self._memory.messages.pop(container_id, None)
        self._memory.announced.discard(container_id)
        await self._quietly(self._shared.runtime.remove(container_id))

    async def _quietly(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do it and look at the outcome; a failure is tried again after a moment, by the next decision."""
        try:
            await doing
            await self._shared.view.refresh(podspec.uid(self._pod()))
        except (RuntimeFailure, OSError) as error:
            _log.warning("%s: %s", podspec.described(self._pod()), error)
            await asyncio.sleep(0.1)

    async def mount_volumes(self) -> None:
        """Volumes that are there already are brought up to date however often that fails first."""
        while True:
            if await self._mounted() or self._memory.volumes is None:
                return
            await asyncio.sleep(max(0.0, self._memory.volumes_retry_at - time.time()))

    async def _mounted(self) -> bool:
        pod, memory = self._pod(), self._memory
        try:
            if not podspec.is_static(pod):
                await self._shared.references.ready(pod)
            async with self._shared.turns.turn(Stage.VOLUMES):
                tokens = {}
                if not podspec.is_static(pod):
                    tokens = await self._shared.tokens.tokens(pod)
                    pod = await claims.resolved(self._shared.client, pod)
                memory.volumes = self._shared.mounter.set_up(pod, self._lookup, tokens, self._shared.around(""))
            memory.volumes_delay = MOUNT_RETRY_FIRST
            return True
        except (VolumeError, StatusError, Unreachable) as error:
            memory.volumes_retry_at = time.time() + memory.volumes_delay
            memory.volumes_delay = min(memory.volumes_delay * 2, MOUNT_RETRY_MOST)
            self._shared.event(pod, "Warning", "FailedMount", str(error))
            return False

    def _lookup(self, kind: str, name: str) -> Mapping[str, bytes] | None:
        return self._shared.references.data(podspec.namespace(self._pod()), kind, name)

    # ---- containers ----

    async def start(self, action: Start) -> None:
        """Pull, create, start, run the postStart hook. Failures are remembered, never raised."""
        pod = self._pod()
        spec = podspec.container(pod, action.name)
        if spec is None:
            return
        if action.backoff is not None:
            self._memory.backoffs[action.name] = action.backoff
        try:
            await self._start(pod, spec, action.attempt)
        except _NotStarted as failure:
            if failure.event:
                self._shared.event(pod, "Warning", "Failed", f"Error: {failure.event}", spec)
            self._memory.failures[action.name] = failure.failure
        with contextlib.suppress(RuntimeFailure, OSError):
            await self._shared.view.refresh(podspec.uid(pod))
            self._tell_limits(spec, action.attempt)

    def _tell_limits(self, spec: ContainerSpec, attempt: int) -> None:
        """Say once what this runtime cannot offer that the container asks for."""
        if attempt > 0:
            return
        pod = self._pod()
        for container in self._shared.view.pod(podspec.uid(pod)).containers.get(spec["name"], ()):
            for warning in container.warnings:
                self._shared.event(pod, "Warning", "RuntimeLimit", warning, spec)

    async def _start(self, pod: Pod, spec: ContainerSpec, attempt: int) -> None:
        await self._pull(pod, spec)
        container_id = await self._create(pod, spec, attempt)
        self._shared.event(pod, "Normal", "Created", "Container created", spec)
        hook = (spec.get("lifecycle") or {}).get("postStart")
        if hook:
            self._memory.starting.add(container_id)
        try:
            try:
                async with self._shared.turns.turn(Stage.CONTAINER):
                    await self._shared.runtime.start(container_id)
            except (RuntimeFailure, OSError) as error:
                raise _failed("RunContainerError", str(error), 0.0) from error
            self._shared.event(pod, "Normal", "Started", "Container started", spec)
            self._memory.failures.pop(spec["name"], None)
            if hook:
                await self._post_start(pod, spec, container_id, hook)
        finally:
            self._memory.starting.discard(container_id)

    async def _pull(self, pod: Pod, spec: ContainerSpec) -> None:
        image = spec["image"]
        try:
            await self._shared.runtime.pull(image)
        except InvalidImageName as error:
            self._shared.event(pod, "Warning", "InspectFailed", str(error), spec)
            raise _failed("InvalidImageName", str(error), IMAGE_RETRY, event="InvalidImageName") from error
        except (RuntimeFailure, OSError) as error:
            now = time.time()
            if isinstance(error, ImageMissing) and spec.get("imagePullPolicy") == "Never":
                word = f'Container image "{image}" is not present with pull policy of Never'
                self._shared.event(pod, "Warning", "ErrImageNeverPull", word, spec)
                raise _failed("ErrImageNeverPull", word, IMAGE_RETRY, event="ErrImageNeverPull") from error
            held = backoff.following(self._memory.pulls.get(image), now, now)
            self._memory.pulls[image] = held
            word = str(error) if isinstance(error, ImageMissing) else f"the runtime does not answer: {error}"
            self._shared.event(pod, "Warning", "Failed", f'Failed to pull image "{image}": {word}', spec)
            raise _failed("ErrImagePull", word, held.delay, event="ErrImagePull") from error
        self._memory.pulls.pop(image, None)
        message = f'Container image "{image}" already present on machine and can be accessed by the pod'
        self._shared.event(pod, "Normal", "Pulled", message, spec)

    async def _create(self, pod: Pod, spec: ContainerSpec, attempt: int) -> str:
        shared = self._shared
        sandbox = shared.view.pod(podspec.uid(pod)).sandbox
        if sandbox is None:
            raise _failed("CreateContainerError", "the pod's sandbox is gone", CONFIG_RETRY)
        try:
            if not podspec.is_static(pod):
                await shared.references.ready(pod)
                await shared.services.synced()
            env = {
                "HOSTNAME": requests.seen_hostname(pod, shared.config.node.name, shared.config.cluster_domain),
                **own_variables(spec["image"], sandbox.ip, shared.environ),
                **environment(pod, spec, shared.around(sandbox.ip), self._lookup, shared.service_env(pod)),
            }
            mounts = shared.mounter.mounts(pod, spec, self._memory.volumes or {}, env)
            mounts += [self._termination_mount(pod, spec, attempt)]
            log = shared.logs_of(pod) / spec["name"] / f"{attempt}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            target = self._target_id(pod, spec)
            config = requests.container_config(pod, spec, attempt, env, mounts, str(log), target)
            if requests.must_not_be_root(pod, spec) and not await shared.runtime.image_user(spec["image"]):
                raise requests.image_is_root(pod, spec)
        except (ConfigError, VolumeError, OSError) as error:
            raise _failed("CreateContainerConfigError", str(error), CONFIG_RETRY, event=str(error)) from error
        try:
            async with shared.turns.turn(Stage.CONTAINER):
                return await shared.runtime.create(sandbox.id, config)
        except (RuntimeFailure, OSError) as error:
            raise _failed("CreateContainerError", str(error), CONFIG_RETRY, event=str(error)) from error

    def _target_id(self, pod: Pod, spec: ContainerSpec) -> str | None:
        """The container whose processes an ephemeral one shall see. Raises ConfigError when it does not run."""
        name = spec.get("targetContainerName")
        if not name:
            return None
        for container in self._shared.view.pod(podspec.uid(pod)).containers.get(name, ()):
            if container.state is ContainerState.RUNNING:
                return container.id
        raise ConfigError(f"unable to find target container {name}")

    def _termination_mount(self, pod: Pod, spec: ContainerSpec, attempt: int) -> Mount:
        path = self._shared.mounter.termination_log(pod, spec, attempt)
        return Mount(spec.get("terminationMessagePath") or TERMINATION_LOG, str(path))

    async def _post_start(self, pod: Pod, spec: ContainerSpec, container_id: str, hook: Mapping[str, object]) -> None:
        outcome = await self._shared.handlers.run(hook, self._target(pod, spec, container_id), None)
        if outcome.success:
            return
        self._shared.event(pod, "Warning", "FailedPostStartHook", "PostStartHook failed", spec)
        self._shared.event(pod, "Normal", "Killing", "FailedPostStartHook", spec)
        with contextlib.suppress(RuntimeFailure, OSError):
            await self._shared.runtime.stop(container_id, podspec.grace_seconds(pod))
        raise _failed("PostStartHookError", "PostStartHook failed", 0.0)

    def _target(self, pod: Pod, spec: ContainerSpec, container_id: str) -> Target:
        sandbox = self._shared.view.pod(podspec.uid(pod)).sandbox
        return Target(container_id, spec, sandbox.ip if sandbox else "")

    async def kill(self, action: Kill, *, hook: bool) -> None:
        """The preStop hook within the grace, then SIGTERM, then SIGKILL. `hook` is False when it has run already."""
        pod = self._pod()
        spec = podspec.container(pod, action.name) or {"name": action.name}
        began = time.monotonic()
        if hook:
            self._shared.event(pod, "Normal", "Killing", action.message, spec)
            await self._pre_stop(pod, spec, action)
        left = max(action.grace - (time.monotonic() - began), min(LEAST_GRACE, action.grace))
        await self._quietly(self._shared.runtime.stop(action.container_id, left))

    async def _pre_stop(self, pod: Pod, spec: ContainerSpec, action: Kill) -> None:
        handler = (spec.get("lifecycle") or {}).get("preStop")
        if not handler:
            return
        try:
            async with asyncio.timeout(action.grace):
                outcome = await self._shared.handlers.run(
                    handler, self._target(pod, spec, action.container_id), action.grace
                )
        except TimeoutError:
            return
        if not outcome.success:
            self._shared.event(pod, "Warning", "FailedPreStopHook", "PreStopHook failed", spec)

    def announce(self, action: Announce) -> None:
        """A container waits: say so once, in an event."""
        pod, memory = self._pod(), self._memory
        spec = podspec.container(pod, action.name)
        if action.kind == "crash":
            memory.announced.add(action.container_id)
            message = f"Back-off restarting failed container {action.name} in pod {podspec.described(pod)}"
            self._shared.event(pod, "Warning", "BackOff", message, spec)
            return
        failure = memory.failures[action.name]
        image = spec["image"] if spec else ""
        message = f'Back-off pulling image "{image}"'
        detail = f"{message}: ErrImagePull: {failure.message}"
        memory.failures[action.name] = Failure("ImagePullBackOff", detail, failure.at, failure.retry_at)
        self._shared.event(pod, "Normal", "BackOff", message, spec)
        self._shared.event(pod, "Warning", "Failed", "Error: ImagePullBackOff", spec)

    def termination_message(self, ended: Container, spec: ContainerSpec) -> str:
        """What the container left as its last words."""
        path = self._shared.mounter.termination_log_path(
            podspec.uid(self._pod()), ended.config.name, ended.config.attempt
        )
        message = _head(path, MESSAGE_LIMIT).decode(errors="replace")
        fallback = spec.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        if message or not fallback or ended.exit_code == 0 or not ended.config.log_path:
            return message
        return crilog.end_of(_tail(Path(ended.config.log_path), 1 << 16), LOG_LINES, LOG_BYTES)

    async def finish(self) -> None:
        """The last status, the pod's deletion from the API, its files."""
        pod, shared = self._pod(), self._shared
        uid = podspec.uid(pod)
        if not self._memory.removed and not podspec.is_static(pod):
            await self._reporter.settled()
            await self._delete(pod)
        view = shared.view.pod(uid)
        for sandbox in (view.sandbox, *view.old_sandboxes):
            if sandbox is not None:
                await self._quietly(shared.runtime.remove_sandbox(sandbox.id))
        shared.references.release(uid)
        shared.tokens.forget(uid)
        with contextlib.suppress(VolumeError):
            shared.mounter.remove(uid)
        shutil.rmtree(shared.logs_of(pod), ignore_errors=True)
        self._memory.finished = True

    async def _delete(self, pod: Pod) -> None:
        delay = _DELETE_RETRY_FIRST
        while not self._memory.removed:
            try:
                await self._shared.client.delete(
                    PODS, podspec.name(pod), podspec.namespace(pod), grace_seconds=0, uid=podspec.uid(pod)
                )
                return
            except (NotFound, Conflict):
                return
            except (Unreachable, StatusError) as error:
                _log.debug("delete %s: %s", podspec.described(pod), error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, _DELETE_RETRY_MOST)


class _NotStarted(Exception):
    def __init__(self, failure: Failure, event: str) -> None:
        super().__init__(failure.reason)
        self.failure = failure
        self.event = event


def _failed(reason: str, message: str, wait: float, *, event: str = "") -> _NotStarted:
    now = time.time()
    return _NotStarted(Failure(reason, message, now, now + wait), event or message)


def _head(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(limit)
    except OSError:
        return b""


def _tail(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - limit))
            return stream.read(limit)
    except OSError:
        return b""
