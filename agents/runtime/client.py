"""The `Runtime` in another process: what the kubelet uses.

It connects when it is first needed and again when the daemon was restarted. While the daemon is away, calls wait for it
a few seconds; one that was on its way when the daemon died is repeated if that is harmless, and fails otherwise.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from panal import unixsock

from . import usage
from .contract import (
    Container,
    ContainerChanged,
    ContainerConfig,
    ContainerState,
    ExecResult,
    RuntimeFailure,
    Sandbox,
    SandboxConfig,
    Usage,
)
from .service import FAILURES
from .session import OpenSession
from .state import container_config, sandbox_config
from .unread import Unread
from .wire import Message, Wire

_PATIENCE = 5.0
"""Seconds that a call waits for a daemon that is being restarted."""
_REPEATED = frozenset(
    {
        "stop_sandbox",
        "remove_sandbox",
        "sandboxes",
        "stop",
        "remove",
        "containers",
        "usage",
        "usages",
        "pull",
        "image_user",
    }
)
"""Verbs that may be done twice."""


class Gone(RuntimeFailure):
    """The daemon went away; what was asked may or may not have been done."""


class RuntimeClient:
    """Implements `contract.Runtime` over the daemon's socket."""

    def __init__(self, socket_path: str | Path, *, patience: float = _PATIENCE, containers: Path | None = None) -> None:
        """With the runtime's folder of `containers`, what these have written outlives the runtime: see `unread`."""
        self._path, self._patience = socket_path, patience
        self._unread = Unread(containers) if containers is not None else None
        self._wire: Wire | None = None
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def run_sandbox(self, config: SandboxConfig) -> Sandbox:
        return _sandbox(await self._ask("run_sandbox", config=asdict(config)))

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self._ask("stop_sandbox", id=sandbox_id)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self._ask("remove_sandbox", id=sandbox_id)

    async def sandboxes(self) -> Sequence[Sandbox]:
        return [_sandbox(raw) for raw in await self._ask("sandboxes")]

    async def create(self, sandbox_id: str, config: ContainerConfig) -> str:
        container_id = str(await self._ask("create", id=sandbox_id, config=asdict(config)))
        if self._unread is not None:
            self._unread.hold(container_id)
        return container_id

    async def start(self, container_id: str) -> None:
        await self._ask("start", id=container_id)

    async def stop(self, container_id: str, grace: float) -> None:
        await self._ask("stop", id=container_id, grace=grace)

    async def remove(self, container_id: str) -> None:
        await self._ask("remove", id=container_id)
        if self._unread is not None:
            self._unread.release(container_id)

    async def containers(self) -> Sequence[Container]:
        found = [_container(raw) for raw in await self._ask("containers")]
        if self._unread is not None:
            self._unread.follow(found)
        return found

    async def of_pod(self, uid: str) -> tuple[Sequence[Sandbox], Sequence[Container]]:
        sandboxes, containers = await self._ask("of_pod", uid=uid)
        found = [_container(raw) for raw in containers]
        if self._unread is not None:
            self._unread.follow_pod(uid, found)
        return [_sandbox(raw) for raw in sandboxes], found

    async def exec(
        self, container_id: str, command: Sequence[str], *, timeout: float | None = None, stdin: bytes = b""
    ) -> ExecResult:
        told = base64.b64encode(stdin).decode()
        raw = await self._ask("exec", id=container_id, command=list(command), timeout=timeout, stdin=told)
        return ExecResult(raw["exit_code"], base64.b64decode(raw["stdout"]), base64.b64decode(raw["stderr"]))

    async def usage(self, container_id: str) -> Usage:
        return Usage(**await self._ask("usage", id=container_id))

    async def usages(self) -> Mapping[str, Usage]:
        return usage.from_json(await self._ask("usages"))

    async def pull(self, image: str) -> str:
        return str(await self._ask("pull", image=image))

    async def image_user(self, image: str) -> int:
        return int(await self._ask("image_user", image=image))

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[ContainerChanged]]:
        """On a connection of its own. Ends with RuntimeFailure when the daemon goes away."""
        queue: asyncio.Queue[Message | None] = asyncio.Queue()
        wire = await self._connect(lambda message, _: queue.put_nowait(message), lambda: queue.put_nowait(None))
        try:
            wire.send({"id": 0, "verb": "events"})
            if await queue.get() is None:
                raise Gone("the runtime has gone away")
            yield _changes(queue)
        finally:
            wire.close()

    @asynccontextmanager
    async def open_exec(
        self, container_id: str, command: Sequence[str], *, streams: Sequence[str], tty: bool = False
    ) -> AsyncIterator[OpenSession]:
        args = {"id": container_id, "command": list(command), "streams": list(streams), "tty": tty}
        async with self._session("open_exec", args) as session:
            yield session

    @asynccontextmanager
    async def attach(self, container_id: str, *, streams: Sequence[str]) -> AsyncIterator[OpenSession]:
        async with self._session("attach", {"id": container_id, "streams": list(streams)}) as session:
            yield session

    async def connect(self, sandbox_id: str, port: int) -> int:
        opened = _Opened(asyncio.get_running_loop().create_future())
        wire = await self._connect(opened.received, opened.lost)
        try:
            wire.send({"id": 0, "verb": "connect", "args": {"id": sandbox_id, "port": port}})
            _, descriptors = await opened.first
        finally:
            wire.close()
        return descriptors[0]

    @asynccontextmanager
    async def _session(self, verb: str, args: dict[str, Any]) -> AsyncIterator[OpenSession]:
        """On a connection of its own, whose end is the session's."""
        opened = _Opened(asyncio.get_running_loop().create_future())
        wire = await self._connect(opened.received, opened.lost)
        try:
            wire.send({"id": 0, "verb": verb, "args": args})
            told, descriptors = await opened.first
            session = OpenSession(dict(zip(told["streams"], descriptors, strict=True)), terminal=told["terminal"])
            opened.follow(session)
            try:
                yield session
            finally:
                session.close_all()
        finally:
            wire.close()

    async def close(self) -> None:
        if self._unread is not None:
            self._unread.close()
        if self._wire is not None:
            self._wire.close()
        self._fail_all()

    async def _ask(self, verb: str, **args: Any) -> Any:
        while True:
            wire = self._wire
            if wire is None or wire.closed:
                wire = self._wire = await self._connect(self._received, self._fail_all)
            self._number += 1
            answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            number, self._waiting[self._number] = self._number, answer
            wire.send({"id": number, "verb": verb, "args": args})
            try:
                return await answer
            except Gone:
                if verb not in _REPEATED:
                    raise
            finally:
                self._waiting.pop(number, None)

    async def _connect(self, receive: Any, lost: Any) -> Wire:
        """Raises RuntimeFailure when there is no daemon for too long."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self._patience, 0.02
        while True:
            try:
                connection = unixsock.connect(self._path)
            except OSError as error:
                if loop.time() >= deadline:
                    raise RuntimeFailure(f"the runtime does not answer: {error}") from None
                await asyncio.sleep(pause)
                pause = min(pause * 2, 0.5)
                continue
            return Wire(connection, receive, lost)

    def _received(self, message: Message, _: list[int]) -> None:
        answer = self._waiting.get(message["id"])
        if answer is None or answer.done():
            return
        if (error := message.get("error")) is not None:
            answer.set_exception(FAILURES.get(error["kind"], RuntimeFailure)(error["message"]))
        else:
            answer.set_result(message["ok"])

    def _fail_all(self) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                with contextlib.suppress(asyncio.InvalidStateError):
                    answer.set_exception(Gone("the runtime has gone away"))
        self._waiting.clear()


class _Opened:
    """What comes on the connection of a session: descriptors or an error, later the exit code."""

    def __init__(self, first: asyncio.Future[tuple[Any, list[int]]]) -> None:
        self.first = first
        self._session: OpenSession | None = None
        self._code: int | None = None
        self._gone = False

    def received(self, message: Message, descriptors: list[int]) -> None:
        if "ended" in message:
            self._code = int(message["ended"])
        if self.first.done():
            for descriptor in descriptors:
                os.close(descriptor)
        elif (error := message.get("error")) is not None:
            self.first.set_exception(FAILURES.get(error["kind"], RuntimeFailure)(error["message"]))
        else:
            self.first.set_result((message["ok"], descriptors))
        self._tell()

    def lost(self) -> None:
        self._gone = True
        if not self.first.done():
            self.first.set_exception(Gone("the runtime has gone away"))
        self._tell()

    def follow(self, session: OpenSession) -> None:
        self._session = session
        self._tell()

    def _tell(self) -> None:
        if self._session is None:
            return
        if self._code is not None:
            self._session.finish(self._code)
        elif self._gone:
            self._session.fail("the runtime has gone away")


async def _changes(queue: asyncio.Queue[Message | None]) -> AsyncIterator[ContainerChanged]:
    while (message := await queue.get()) is not None:
        yield ContainerChanged(**message["event"])
    raise Gone("the runtime has gone away")


def _sandbox(raw: dict[str, Any]) -> Sandbox:
    return Sandbox(**{**raw, "config": sandbox_config(raw["config"])})


def _container(raw: dict[str, Any]) -> Container:
    state = ContainerState(raw["state"])
    return Container(**{**raw, "config": container_config(raw["config"]), "state": state})
