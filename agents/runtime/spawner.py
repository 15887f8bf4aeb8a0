"""Starting processes from one that runs an event loop: the owner's side of the fork server.

    spawner = Spawner.fork_now()             # in main(), before any loop or thread exists
    pid = await spawner.spawn(SpawnRequest(["/bin/sh", "-c", "exit 3"]))
    spawner.on_exit(lambda pid, status: ...) # os.waitstatus_to_exitcode(status)

When the server is gone its children live on, orphaned, and `on_lost` is called; the owner then best ends too and is
started again by whoever keeps it.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable

import orjson

from panal import tasks

from . import server
from .request import OLD_ROOT, SpawnRequest, Step, encode

__all__ = ["OLD_ROOT", "SpawnFailed", "SpawnRequest", "Spawner", "SpawnerLost", "Step"]


class SpawnFailed(OSError):
    """The process could not be started; nothing of it is left. `stage` tells what failed, `exec` the program itself."""

    def __init__(self, code: int, message: str, stage: str) -> None:
        super().__init__(code, message)
        self.stage = stage


class SpawnerLost(SpawnFailed):
    """The server has ended."""

    def __init__(self) -> None:
        super().__init__(0, "the spawner has ended", "spawner")


class Spawner:
    """A handle on a fork server. Its methods belong to one event loop, the one that first awaits `spawn`."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self.pid = pid
        """The server's own process; -1 when it isn't this process's child."""
        self._socket = connection
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._number = 0
        self._exit_callbacks: list[Callable[[int, int], None]] = []
        self._lost_callbacks: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sending = asyncio.Lock()
        self._lost = False

    @classmethod
    def fork_now(cls, name: str = "panal-spawner") -> Spawner:
        """Fork the server. Call it before any event loop or thread exists."""
        own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            server.run(theirs, name)
        theirs.close()
        own.setblocking(False)
        return cls(own, pid)

    def on_exit(self, callback: Callable[[int, int], None]) -> None:
        """Call `callback(pid, wait_status)` for every process that ends, never before its `spawn` has an answer."""
        self._exit_callbacks.append(callback)
        self._attach_if_running()

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call `callback()` when the server has ended without `close`."""
        self._lost_callbacks.append(callback)
        self._attach_if_running()

    async def spawn(self, request: SpawnRequest) -> int:
        """Start a process and return its pid once it runs the program or function. Raises SpawnFailed."""
        if self._lost:
            raise SpawnerLost
        self._attach_if_running()
        self._number += 1
        number = self._number
        message, descriptors = encode(number, request)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self._send(message, descriptors)
            return await answer
        except OSError as error:
            self._waiting.pop(number, None)
            if isinstance(error, SpawnFailed):
                raise
            raise SpawnerLost from error

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to a process this server has started; nothing happens when it has ended. Never hits another."""
        with contextlib.suppress(OSError):
            self._socket.send(orjson.dumps({"op": "signal", "pid": pid, "signal": int(number)}))

    def close(self) -> None:
        """Let the server end; its children live on."""
        self._lost = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._reap()

    def _reap(self) -> None:
        if self.pid > 0:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)

    async def _send(self, message: bytes, descriptors: list[int]) -> None:
        with contextlib.ExitStack() as stack:
            if len(message) > server.INLINE_LIMIT:
                memory = os.memfd_create("spawn-request", os.MFD_CLOEXEC)
                stack.callback(os.close, memory)
                os.write(memory, message)
                message, descriptors = b'{"op":"large"}', [*descriptors, memory]
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            async with self._sending:
                while True:
                    try:
                        self._socket.sendmsg([message], ancillary)
                        return
                    except BlockingIOError:
                        await self._writable()

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(self._socket.fileno(), _wake, ready)
        try:
            await ready
        finally:
            loop.remove_writer(self._socket.fileno())

    def _attach_if_running(self) -> None:
        if self._loop is None:
            with contextlib.suppress(RuntimeError):
                loop = asyncio.get_running_loop()
                loop.add_reader(self._socket.fileno(), self._read)
                self._loop = loop

    def _read(self) -> None:
        while True:
            try:
                packet = self._socket.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self._fail_all()
                return
            self._handle(orjson.loads(packet))

    def _handle(self, message: dict[str, object]) -> None:
        match message:
            case {"op": "exited", "pid": int(pid), "status": int(status)}:
                # By way of the loop, so that whoever awaits `spawn` hears of the start first.
                loop = asyncio.get_running_loop()
                for callback in self._exit_callbacks:
                    loop.call_soon(callback, pid, status)
                loop.call_soon(self._noted, pid)
            case {"op": "spawned", "number": int(number), "pid": int(pid)}:
                answer = self._waiting.pop(number, None)
                if answer is None or answer.done():  # whoever asked has been cancelled and will never hear of it
                    self.signal(pid, signal.SIGKILL)
                else:
                    answer.set_result(pid)
            case {"op": "failed", "number": int(number), "errno": int(code), "message": str(text), "stage": str(stage)}:
                if (answer := self._waiting.pop(number, None)) and not answer.done():
                    answer.set_exception(SpawnFailed(code, text, stage))

    def _noted(self, pid: int) -> None:
        """Everybody has heard of the end, and written it down who must: the process may go."""
        message = orjson.dumps({"op": "noted", "pid": pid})
        try:
            self._socket.send(message)
        except BlockingIOError:
            tasks.spawn(self._send(message, []), name=f"end of {pid} noted")
        except OSError:  # the server has ended, and whoever adopts its children hears of them
            return

    def _fail_all(self) -> None:
        self._lost = True
        assert self._loop is not None
        self._loop.remove_reader(self._socket.fileno())
        self._reap()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(SpawnerLost())
        self._waiting.clear()
        for callback in self._lost_callbacks:
            callback()


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
