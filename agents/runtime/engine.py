"""The runtime itself: keeps sandboxes and containers, on disk first, and drives their processes through a driver.

It runs in the daemon. A restarted one finds its sandboxes and containers on disk and adopts the processes that still
run (`recover`); those that ended meanwhile are looked up in `exits.jsonl`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import secrets
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from panal.tasks import spawn

from ..network.contract import PodNetwork
from . import cgroups, exits, launch, processes, sessions, stdio, usage
from .contract import (
    RUNTIME,
    Container,
    ContainerChanged,
    ContainerConfig,
    ContainerState,
    ExecResult,
    NoSuchThing,
    RuntimeFailure,
    Sandbox,
    SandboxConfig,
    Usage,
)
from .driver import Driver
from .events import Bell
from .execution import Executions
from .launch import Launcher
from .life import Life, exit_code
from .place import Place, Store
from .program import program, start_failure
from .session import OpenSession
from .sessions import Sessions
from .spawner import Spawner, SpawnFailed
from .state import ContainerRecord, SandboxRecord, State
from .watchdog import Watchdog

_log = logging.getLogger(__name__)

START_ERROR = 128
"""The exit code of a container that could not be started, as containerd's."""
UNKNOWN_CODE = 137
"""What the kubelet reports for a container whose end nobody saw (ContainerStatusUnknown)."""
UNKNOWN_WORDS = "The container could not be located when the runtime was restarted; its exit code is not known"
_RECORD_WAITS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds between looks for the record of an orphan's end, which the steward writes just after it."""
_TERMINAL_PATIENCE = 1.0
"""Seconds that a terminal may take to be read to its end when something still holds it."""
_KILL_PATIENCE = 30.0
"""Seconds until a process that survives SIGKILL (in the kernel, on a dead disk) is told as a failure."""


class Engine:
    """Implements `contract.Runtime`."""

    def __init__(self, state: State, spawner: Spawner, network: PodNetwork, driver: Driver, place: Place) -> None:
        self._state, self._spawner, self._network, self._driver, self._place = state, spawner, network, driver, place
        self._sandboxes: dict[str, SandboxRecord] = {}
        self._containers: dict[str, ContainerRecord] = {}
        self._lives: dict[str, Life] = {}
        self._of_pid: dict[int, str] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._bell = Bell()
        self._executions = Executions(spawner)
        self._sessions = Sessions(spawner)
        self._store = Store(state.root / "images", place, self._executions)
        self._launcher = Launcher(state, spawner, driver, self._store)
        self._watchdog = Watchdog(self._out_of_memory)
        spawner.on_exit(self._exited)

    # Recovery

    async def recover(self) -> None:
        """Take up what an earlier daemon left. Call once, before anything else."""
        for sandbox in self._state.load_sandboxes():
            if sandbox.ip:
                self._sandboxes[sandbox.id] = sandbox
            else:
                await self._network.detach(sandbox.id)
                self._state.forget_sandbox(sandbox.id)
        for record in self._state.load_containers():
            self._containers[record.id] = record
            self._take_up(record)
            if record.sandbox_id not in self._sandboxes:
                await self.remove(record.id)
        for sandbox in list(self._sandboxes.values()):
            if sandbox.ready and sandbox.netns and not processes.is_namespace(sandbox.netns):
                await self.stop_sandbox(sandbox.id)  # the machine was started again: its pods get new ones

    def _take_up(self, record: ContainerRecord) -> None:
        if record.state is ContainerState.EXITED:
            return
        if record.state is ContainerState.CREATED and not self._was_starting(record):
            return
        assert record.pid is not None
        life = Life(record.pid, pidfd=processes.open_pidfd(record.pid, record.start))
        with contextlib.suppress(OSError):
            life.pump = launch.pump(record, self._state.container_folder(record.id))
        life.stdin = stdio.keep_stdin(self._state.container_folder(record.id), record.config)
        self._lives[record.id] = life
        if life.pump is not None:
            life.pump.watch()
        if record.exit_code is not None and record.finished_at is not None:  # its terminal was being read to its end
            end = self._ended(record, record.exit_code, record.signal, record.finished_at)
            spawn(end, name=f"end of {record.id}")
        elif life.pidfd is None:
            spawn(self._orphan_ended(record), name=f"end of {record.id}")
        else:
            asyncio.get_running_loop().add_reader(life.pidfd, self._pidfd_ready, record, life)
            self._guard(record)

    def _was_starting(self, record: ContainerRecord) -> bool:
        """The daemon died between a start and its note: the process is known by its output, which only it holds."""
        found = processes.holders(str(self._state.container_folder(record.id) / "stdout"))
        if not found:
            return False
        if record.config.tty:  # what holds the output is the terminal's relay; the container ends with its terminal
            for process in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            return False
        record.state, record.pid, record.start = ContainerState.RUNNING, found[0].pid, found[0].start
        record.started_at = time.time()
        self._state.save_container(record)
        return True

    def _pidfd_ready(self, record: ContainerRecord, life: Life) -> None:
        assert life.pidfd is not None
        asyncio.get_running_loop().remove_reader(life.pidfd)
        spawn(self._orphan_ended(record), name=f"end of {record.id}")

    async def _orphan_ended(self, record: ContainerRecord) -> None:
        assert record.pid is not None
        for pause in (0.0, *_RECORD_WAITS):
            await asyncio.sleep(pause)
            ending = exits.find(self._place.exits, record.pid, record.start, record.started_at or record.created_at)
            if ending is not None:
                await self._ended(record, *exit_code(ending.status), ending.time)
                return
        record.message = UNKNOWN_WORDS
        self._finish(record, UNKNOWN_CODE, None, time.time())

    # Sandboxes

    async def run_sandbox(self, config: SandboxConfig) -> Sandbox:
        record = SandboxRecord(secrets.token_hex(32), config, time.time())
        self._state.save_sandbox(record)
        try:
            space = self._place.node if config.host_network else await self._network.attach(record.id)
            record.ip, record.netns = space.address, space.netns
            if (request := self._driver.pause(record)) is not None:
                record.pause_pid = await self._spawner.spawn(request)
                record.pause_start = processes.start_time(record.pause_pid)
        except (OSError, RuntimeError, ValueError) as error:
            await self._network.detach(record.id)
            self._state.forget_sandbox(record.id)
            raise RuntimeFailure(f"failed to set up sandbox: {error}") from error
        self._sandboxes[record.id] = record
        self._state.save_sandbox(record)
        return record.shown()

    async def stop_sandbox(self, sandbox_id: str) -> None:
        record = self._sandboxes.get(sandbox_id)
        if record is None:
            return
        record.ready = False
        mine = [container.id for container in self._containers.values() if container.sandbox_id == sandbox_id]
        await asyncio.gather(*(self.stop(container_id, 0) for container_id in mine))
        self._end_pause(record)
        self._driver.release(record)
        await self._network.detach(sandbox_id)
        self._state.save_sandbox(record)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self.stop_sandbox(sandbox_id)
        mine = [container.id for container in self._containers.values() if container.sandbox_id == sandbox_id]
        for container_id in mine:
            await self.remove(container_id)
        if self._sandboxes.pop(sandbox_id, None) is not None:
            self._state.forget_sandbox(sandbox_id)
        self._locks.pop(sandbox_id, None)

    async def sandboxes(self) -> Sequence[Sandbox]:
        return [record.shown() for record in self._sandboxes.values()]

    def _end_pause(self, record: SandboxRecord) -> None:
        if record.pause_pid is None:
            return
        descriptor = processes.open_pidfd(record.pause_pid, record.pause_start)
        if descriptor is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            os.close(descriptor)
        record.pause_pid = None

    # Containers

    async def create(self, sandbox_id: str, config: ContainerConfig) -> str:
        sandbox = self._sandbox(sandbox_id)
        if not sandbox.ready:
            raise RuntimeFailure(f"sandbox {sandbox_id} is not running")
        image = self._store.resolve(config.image)
        await self._store.ready(image)
        record = ContainerRecord(secrets.token_hex(32), sandbox_id, config, image, time.time())
        self._state.save_container(record)
        for name in stdio.OUTPUTS:
            path = self._state.container_folder(record.id) / name
            os.mkfifo(path)
            path.chmod(0o666)
        self._containers[record.id] = record
        return record.id

    async def start(self, container_id: str) -> None:
        record = self._container(container_id)
        sandbox = self._sandbox(record.sandbox_id)
        async with self._locks[sandbox.id]:
            if record.state is not ContainerState.CREATED:
                raise RuntimeFailure(f"container {container_id} is {record.state}, not created")
            if not sandbox.ready:
                raise RuntimeFailure(f"sandbox {sandbox.id} is not running")
            notes = launch.limit(sandbox, record, self._place.cgroups)
            try:
                life, warnings = await self._launcher.launch(sandbox, record, self._target(record))
            except SpawnFailed as failure:
                self._failed_to_start(record, failure)
                raise RuntimeFailure(record.message) from None
            except (OSError, RuntimeFailure) as error:
                record.message = str(error)
                self._finish(record, START_ERROR, None, time.time())
                raise RuntimeFailure(record.message) from error
            self._lives[record.id] = life
            self._of_pid[life.pid] = record.id
            record.state, record.pid, record.start = ContainerState.RUNNING, life.pid, processes.start_time(life.pid)
            record.started_at, record.warnings = time.time(), (*warnings, *notes)
            self._state.save_container(record)
            self._guard(record)
            self._changed(record)

    async def stop(self, container_id: str, grace: float) -> None:
        record = self._container(container_id)
        if record.state is ContainerState.CREATED:
            async with self._locks[record.sandbox_id]:
                if record.state is ContainerState.CREATED:
                    self._finish(record, UNKNOWN_CODE, signal.SIGKILL, time.time())
        life = self._lives.get(container_id)
        if life is None:
            return
        if grace > 0:
            life.kill(self._spawner, record.image.stop_signal)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(life.ended.wait(), grace)
                return
        life.kill(self._spawner, signal.SIGKILL)
        try:
            await asyncio.wait_for(life.ended.wait(), _KILL_PATIENCE)
        except TimeoutError:
            raise RuntimeFailure(f"process {life.pid} of container {container_id} does not end") from None

    async def remove(self, container_id: str) -> None:
        record = self._containers.get(container_id)
        if record is None:
            return
        await self.stop(container_id, 0)
        self._containers.pop(container_id, None)
        cgroups.remove(record.cgroups)
        await asyncio.to_thread(self._state.forget_container, container_id)

    async def of_pod(self, uid: str) -> tuple[Sequence[Sandbox], Sequence[Container]]:
        mine = {key: record for key, record in self._sandboxes.items() if record.config.uid == uid}
        inside = [record.shown() for record in self._containers.values() if record.sandbox_id in mine]
        return [record.shown() for record in mine.values()], inside

    async def containers(self) -> Sequence[Container]:
        return [record.shown() for record in self._containers.values()]

    def events(self) -> AbstractAsyncContextManager[AsyncIterator[ContainerChanged]]:
        return self._bell.listen()

    # Streams and images

    async def exec(
        self, container_id: str, command: Sequence[str], *, timeout: float | None = None, stdin: bytes = b""
    ) -> ExecResult:
        record = self._running(container_id)
        request = self._driver.exec(self._sandbox(record.sandbox_id), record, command)
        return await self._executions.run(request, timeout=timeout, stdin=stdin)

    @contextlib.asynccontextmanager
    async def open_exec(
        self, container_id: str, command: Sequence[str], *, streams: Sequence[str], tty: bool = False
    ) -> AsyncIterator[OpenSession]:
        record = self._running(container_id)
        request = self._driver.exec(self._sandbox(record.sandbox_id), record, command)
        if tty:
            request = dataclasses.replace(request, env={"TERM": "xterm", **(request.env or {})})
        async with self._sessions.run(request, streams, tty=tty, pid=record.pid) as session:
            yield session

    @contextlib.asynccontextmanager
    async def attach(self, container_id: str, *, streams: Sequence[str]) -> AsyncIterator[OpenSession]:
        record = self._running(container_id)
        life = self._lives[record.id]
        async with sessions.attach(record, life, self._state.container_folder(record.id), streams) as session:
            yield session

    async def connect(self, sandbox_id: str, port: int) -> int:
        sandbox = self._sandbox(sandbox_id)
        if not sandbox.ready:
            raise RuntimeFailure(f"sandbox {sandbox_id} is not running")
        return await sessions.connect(sandbox, port)

    async def usage(self, container_id: str) -> Usage:
        record = self._container(container_id)
        if record.state is not ContainerState.RUNNING:
            return Usage(0.0, 0, 0)
        return usage.measured(self._driver.processes(record))

    async def usages(self) -> Mapping[str, Usage]:
        running = [record for record in self._containers.values() if record.state is ContainerState.RUNNING]
        return {**usage.of(self._driver, running), RUNTIME: usage.of_own(self._spawner.pid)}

    async def pull(self, image: str) -> str:
        spec = self._store.resolve(image)
        await self._store.ready(spec)
        return spec.ref

    async def image_user(self, image: str) -> int:
        return self._store.resolve(image).user or 0

    async def close(self) -> None:
        """Stop listening; the containers live on."""
        self._bell.silence()
        self._watchdog.close()
        for life in self._lives.values():
            if life.pump is not None:
                life.pump.leave()

    # What the verbs are made of

    def _sandbox(self, sandbox_id: str) -> SandboxRecord:
        try:
            return self._sandboxes[sandbox_id]
        except KeyError:
            raise NoSuchThing(f"no sandbox {sandbox_id}") from None

    def _container(self, container_id: str) -> ContainerRecord:
        try:
            return self._containers[container_id]
        except KeyError:
            raise NoSuchThing(f"no container {container_id}") from None

    def _running(self, container_id: str) -> ContainerRecord:
        record = self._container(container_id)
        if record.state is not ContainerState.RUNNING or container_id not in self._lives:
            raise RuntimeFailure(f"container {container_id} is not running")
        return record

    def _guard(self, record: ContainerRecord) -> None:
        """Watch a container whose limits no cgroup keeps."""
        sandbox = self._sandboxes.get(record.sandbox_id)
        config = sandbox.config if sandbox is not None else None
        if cgroups.limits(record.config, config) and not record.cgroups:
            self._watchdog.watch(record, config.pids_limit if config is not None else None)

    def _out_of_memory(self, record: ContainerRecord) -> None:
        record.oom_killed = True
        self._state.save_container(record)

    def _target(self, record: ContainerRecord) -> int | None:
        """The process whose namespace of processes the container shall enter."""
        if record.config.target is None:
            return None
        pid = self._running(record.config.target).pid
        if pid is None:
            raise RuntimeFailure(f"container {record.config.target} is not running")
        return pid

    def _failed_to_start(self, record: ContainerRecord, failure: SpawnFailed) -> None:
        run = program(record.image, record.config)
        code = failure.errno or 0
        record.message = start_failure(run.argv, code, failure.strerror or "", failure.stage)
        self._finish(record, START_ERROR, None, time.time())

    def _exited(self, pid: int, status: int) -> None:
        container_id = self._of_pid.pop(pid, None)
        if container_id is not None and (record := self._containers.get(container_id)) is not None:
            code, number = exit_code(status)
            if record.config.tty:
                self._note_end(record, code, number)
                spawn(self._ended(record, code, number, record.finished_at or 0.0), name=f"end of {record.id}")
            else:
                self._finish(record, code, number, time.time())

    def _note_end(self, record: ContainerRecord, code: int, number: int | None) -> None:
        """Write down how it ended before its terminal is read to its end: nobody else will know, should this process
        die meanwhile. It counts as running until then."""
        record.exit_code, record.signal, record.finished_at = code, number, time.time()
        self._state.save_container(record)

    async def _ended(self, record: ContainerRecord, code: int, number: int | None, when: float) -> None:
        """What a terminal still shows is on its way when the process has ended."""
        pump = life.pump if (life := self._lives.get(record.id)) is not None else None
        if record.config.tty and pump is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(pump.drained.wait(), _TERMINAL_PATIENCE)
        self._finish(record, code, number, when)

    def _finish(self, record: ContainerRecord, code: int, number: int | None, when: float) -> None:
        """The container has ended: note it before anyone hears of it."""
        if record.pid is not None:
            self._driver.end(record)
        record.state, record.exit_code, record.signal, record.finished_at = ContainerState.EXITED, code, number, when
        record.oom_killed = record.oom_killed or cgroups.oom_killed(record.cgroups)
        self._watchdog.forget(record.id)
        self._state.save_container(record)
        if (life := self._lives.pop(record.id, None)) is not None:
            life.close()
        self._changed(record)

    def _changed(self, record: ContainerRecord) -> None:
        self._bell.ring(ContainerChanged(record.id, record.sandbox_id))
