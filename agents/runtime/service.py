"""A `Runtime` on a Unix socket: each frame is a request, each is answered when it is done, events are streamed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from panal import unixsock
from panal.tasks import spawn

from . import usage
from .contract import ImageMissing, InvalidImageName, NoSuchThing, Runtime, RuntimeFailure, Session
from .session import OpenSession
from .state import container_config, sandbox_config
from .wire import Message, Wire

_log = logging.getLogger(__name__)

Verb = Callable[[Runtime, dict[str, Any]], Awaitable[Any]]


async def _exec(runtime: Runtime, args: dict[str, Any]) -> dict[str, Any]:
    stdin = base64.b64decode(args.get("stdin", ""))
    result = await runtime.exec(args["id"], args["command"], timeout=args.get("timeout"), stdin=stdin)
    outputs = {"stdout": result.stdout, "stderr": result.stderr}
    return {"exit_code": result.exit_code} | {key: base64.b64encode(value).decode() for key, value in outputs.items()}


async def _usages(runtime: Runtime, _: dict[str, Any]) -> dict[str, list[float]]:
    return usage.as_json(await runtime.usages())


VERBS: dict[str, Verb] = {
    "run_sandbox": lambda runtime, args: runtime.run_sandbox(sandbox_config(args["config"])),
    "stop_sandbox": lambda runtime, args: runtime.stop_sandbox(args["id"]),
    "remove_sandbox": lambda runtime, args: runtime.remove_sandbox(args["id"]),
    "sandboxes": lambda runtime, args: runtime.sandboxes(),
    "create": lambda runtime, args: runtime.create(args["id"], container_config(args["config"])),
    "start": lambda runtime, args: runtime.start(args["id"]),
    "stop": lambda runtime, args: runtime.stop(args["id"], args["grace"]),
    "remove": lambda runtime, args: runtime.remove(args["id"]),
    "containers": lambda runtime, args: runtime.containers(),
    "of_pod": lambda runtime, args: runtime.of_pod(args["uid"]),
    "exec": _exec,
    "usage": lambda runtime, args: runtime.usage(args["id"]),
    "image_user": lambda runtime, args: runtime.image_user(args["image"]),
    "usages": _usages,
    "pull": lambda runtime, args: runtime.pull(args["image"]),
}

_STREAMS = ("stdin", "stdout", "stderr")


def _opener(runtime: Runtime, verb: str, args: dict[str, Any]) -> AbstractAsyncContextManager[Session]:
    streams = [name for name in _STREAMS if name in args["streams"]]
    if verb == "attach":
        return runtime.attach(args["id"], streams=streams)
    return runtime.open_exec(args["id"], args["command"], streams=streams, tty=bool(args["tty"]))


FAILURES: dict[str, type[Exception]] = {
    "InvalidImageName": InvalidImageName,
    "ImageMissing": ImageMissing,
    "NoSuchThing": NoSuchThing,
    "TimeoutError": TimeoutError,
    "RuntimeFailure": RuntimeFailure,
}
"""How failures are called on the wire, the special ones first."""


class Service:
    """Listens from `open` to `close`."""

    def __init__(self, runtime: Runtime, path: Path) -> None:
        self._runtime, self._path = runtime, path
        self._listener: socket.socket | None = None
        self._connections: set[_Connection] = set()

    def open(self) -> None:
        self._listener = unixsock.listen(self._path)
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
        for connection in list(self._connections):
            connection.end()

    def _accept(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(BlockingIOError, OSError):
            client, _ = self._listener.accept()
            client.setblocking(False)
            self._connections.add(_Connection(self._runtime, client, self._connections.discard))


class _Connection:
    def __init__(self, runtime: Runtime, client: socket.socket, gone: Callable[[_Connection], None]) -> None:
        self._runtime, self._gone = runtime, gone
        self._listening: list[asyncio.Task[Any]] = []
        self._wire = Wire(client, self._receive, self.end)

    def end(self) -> None:
        """What was asked for is still done; nobody hears of it."""
        self._wire.close()
        for task in self._listening:
            task.cancel()
        self._gone(self)

    def _receive(self, message: Message, descriptors: list[int]) -> None:
        for descriptor in descriptors:  # no verb takes any yet
            os.close(descriptor)
        number, verb = message["id"], str(message["verb"])
        if verb == "events":
            self._listening.append(spawn(self._events(number), name="runtime events"))
        elif verb in ("open_exec", "attach"):
            self._listening.append(spawn(self._session(number, verb, message["args"]), name=f"runtime {verb}"))
        elif verb == "connect":
            spawn(self._connect(number, message["args"]), name="runtime connect")
        else:
            spawn(self._answer(number, verb, message.get("args") or {}), name=f"runtime {verb}")

    async def _answer(self, number: int, verb: str, args: dict[str, Any]) -> None:
        try:
            if verb not in VERBS:
                raise RuntimeFailure(f"unknown verb {verb}")
            answer: Message = {"id": number, "ok": await VERBS[verb](self._runtime, args)}
        except Exception as error:
            answer = {"id": number, "error": _failure(verb, error)}
        self._wire.send(answer)

    async def _session(self, number: int, verb: str, args: dict[str, Any]) -> None:
        """The descriptors go to whoever asked, on a connection of its own; the session ends with the connection."""
        try:
            async with _opener(self._runtime, verb, args) as session:
                assert isinstance(session, OpenSession)
                names = list(session.descriptors)
                told = {"streams": names, "terminal": session.terminal}
                self._wire.send({"id": number, "ok": told}, [session.descriptors[name] for name in names])
                session.close_all()
                self._wire.send({"id": number, "ended": await session.wait()})
                await asyncio.get_running_loop().create_future()  # until whoever asked has read all and goes
        except Exception as error:
            self._wire.send({"id": number, "error": _failure(verb, error)})

    async def _connect(self, number: int, args: dict[str, Any]) -> None:
        try:
            descriptor = await self._runtime.connect(args["id"], int(args["port"]))
        except Exception as error:
            self._wire.send({"id": number, "error": _failure("connect", error)})
            return
        self._wire.send({"id": number, "ok": None}, [descriptor])
        os.close(descriptor)

    async def _events(self, number: int) -> None:
        async with self._runtime.events() as changes:
            self._wire.send({"id": number, "ok": None})
            try:
                async for change in changes:
                    self._wire.send({"event": change})
            except RuntimeFailure:
                self.end()


def _failure(verb: str, error: Exception) -> dict[str, str]:
    for name, kind in FAILURES.items():
        if isinstance(error, kind):
            return {"kind": name, "message": str(error)}
    _log.error("%s failed", verb, exc_info=error)
    return {"kind": "RuntimeFailure", "message": f"{type(error).__name__}: {error}"}
