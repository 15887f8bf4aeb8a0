"""Opening streams in the daemon: commands with pipes or a terminal, containers to attach to, connections into a pod."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from panal.addresses import real_port
from panal.tasks import spawn

from . import stdio, syscalls
from .contract import RuntimeFailure
from .execution import words
from .life import Life, exit_code
from .request import SpawnRequest
from .session import CONTROL, OpenSession, Pipes, connected
from .spawner import Spawner, SpawnFailed
from .state import ContainerRecord, SandboxRecord
from .syscalls import Clone

HANGUP_PATIENCE = 2.0
"""Seconds that a command whose user has gone may take to end by itself."""
_CONNECT_SECONDS = 10.0


class Sessions:
    """The streams of one runtime's containers."""

    def __init__(self, spawner: Spawner) -> None:
        self._spawner = spawner
        self._running: dict[int, OpenSession] = {}
        spawner.on_exit(self._exited)
        spawner.on_lost(self._lost)

    @asynccontextmanager
    async def run(
        self, request: SpawnRequest, streams: Sequence[str], *, tty: bool, pid: int | None
    ) -> AsyncIterator[OpenSession]:
        try:
            pipes = Pipes(streams, tty=tty, pid=pid)
        except OSError as error:
            raise RuntimeFailure(f"cannot open the command's streams: {error}") from error
        try:
            child = await self._start(connected(request, pipes.child, tty))
        except BaseException:
            pipes.close()
            raise
        pipes.started()
        session = self._running[child] = OpenSession(pipes.own, terminal=tty)
        try:
            yield session
        finally:
            session.close_all()
            if child in self._running:
                spawn(self._hang_up(child, session), name=f"hang up {child}")

    async def _start(self, request: SpawnRequest) -> int:
        try:
            return await self._spawner.spawn(request)
        except SpawnFailed as failure:
            raise RuntimeFailure(words(request, failure)) from None

    async def _hang_up(self, child: int, session: OpenSession) -> None:
        """End the command and what it started: its process group bears its pid."""
        for number in (signal.SIGHUP, signal.SIGKILL):
            if child not in self._running:
                return
            with contextlib.suppress(OSError):
                os.killpg(child, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(session.ended), HANGUP_PATIENCE)

    def _exited(self, pid: int, status: int) -> None:
        if (session := self._running.pop(pid, None)) is not None:
            session.finish(exit_code(status)[0])

    def _lost(self) -> None:
        for session in self._running.values():
            session.fail("the runtime's spawner has ended")
        self._running.clear()


@asynccontextmanager
async def attach(
    record: ContainerRecord, life: Life, folder: Path, streams: Sequence[str]
) -> AsyncIterator[OpenSession]:
    """The container's own streams, from now on."""
    descriptors: dict[str, int] = {}
    taps = []
    if "stdin" in streams and (stdin := stdio.open_stdin(folder, record.config)) is not None:
        descriptors["stdin"] = stdin
        life.release_stdin()
    for name in stdio.outputs(record.config, streams):
        if life.pump is not None:
            descriptors[name], write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            taps.append(life.pump.tap(name, write_end))
    if record.config.tty and (control := stdio.open_control(folder)) is not None:
        descriptors[CONTROL] = control
    session = OpenSession(descriptors, terminal=record.config.tty)
    waiting = spawn(_follow(record, life, session), name=f"attached to {record.id[:12]}")
    try:
        yield session
    finally:
        waiting.cancel()
        session.close_all()
        if not session.ended.done():
            for tap in taps:
                tap.close()


async def _follow(record: ContainerRecord, life: Life, session: OpenSession) -> None:
    await life.ended.wait()
    session.finish(record.exit_code or 0)


async def connect(sandbox: SandboxRecord, port: int) -> int:
    """A connection to the pod's localhost; where pods have no network of their own, to the pod's address."""
    if not 0 < port < 65536:
        raise RuntimeFailure(f"invalid port {port}")
    own = sandbox.netns is not None
    host, real = ("127.0.0.1", port) if own else (sandbox.ip, real_port(port))
    try:
        connection = _socket_in(sandbox.netns)
    except OSError as error:
        raise RuntimeFailure(f"failed to enter the network namespace of the pod: {error}") from error
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            await asyncio.get_running_loop().sock_connect(connection, (host, real))
    except (OSError, TimeoutError) as error:
        connection.close()
        why = "i/o timeout" if isinstance(error, TimeoutError) else f"connect: {os.strerror(error.errno or 0).lower()}"
        where = f'in network namespace "{sandbox.netns}"' if own else f'at "{sandbox.ip}"'
        raise RuntimeFailure(
            f"failed to execute portforward {where}: failed to connect to localhost:{port} inside namespace "
            f'"{sandbox.id}", IPv4: dial tcp4 {host}:{real}: {why}'
        ) from error
    except BaseException:
        connection.close()
        raise
    return connection.detach()


def _socket_in(netns: str | None) -> socket.socket:
    """A socket belongs to the namespace it was made in; this thread is back at once."""
    if netns is None:
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    else:
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(netns, Clone.NEWNET)
            try:
                connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            finally:
                syscalls.setns_fd(home, Clone.NEWNET)
        finally:
            os.close(home)
    connection.setblocking(False)
    return connection
