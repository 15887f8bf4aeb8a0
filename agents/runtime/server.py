"""The fork server: a synchronous process that forks on request and tells who ended.

It was forked before any event loop or thread existed and holds nothing but its socket, so its children are born from a
small, quiet image. It answers a request when the child has become what was asked for (or failed to), goes on serving
meanwhile, and ends when its owner has gone; its children live on.
"""

from __future__ import annotations

import array
import contextlib
import errno
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import orjson

from . import syscalls
from .child import become
from .request import SpawnRequest, decode
from .syscalls import Clone
from .title import set_title

INLINE_LIMIT = 64 * 1024
"""A longer message travels in a memfd, as the last descriptor: a packet may not outgrow the socket's buffer."""
MAX_MESSAGE = 16 * 1024 * 1024
MAX_DESCRIPTORS = 253
"""The kernel's limit for one message (SCM_MAX_FD)."""


@dataclass
class Server:
    """The loop. `starting` maps the reading end of a child's report to (pid, request number, words so far)."""

    owner: socket.socket
    starting: dict[int, tuple[int, int, bytes]] = field(default_factory=dict)
    children: set[int] = field(default_factory=set)
    ended: dict[int, int] = field(default_factory=dict)
    """Wait statuses of children whose request isn't answered yet; invariant: each pid is in `starting`."""
    told: set[int] = field(default_factory=set)
    """Children whose end the owner was told of and has not noted yet; invariant: all are in `children`."""
    elder: set[int] = field(default_factory=set)
    """Children that this process had before it served; nobody asks for their end."""
    _home: int = -1
    _poll: select.poll = field(default_factory=select.poll)

    def serve(self) -> None:
        """Until the owner goes."""
        wakeup, signalled = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._poll.register(self.owner, select.POLLIN)
        self._poll.register(wakeup, select.POLLIN)
        self._look()  # what ended before anybody listened
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == wakeup:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wakeup, 4096)
                    self._look()
                elif descriptor in self.starting:
                    self._hear(descriptor)
                elif not self._receive():
                    return

    def _receive(self) -> bool:
        size = array.array("i").itemsize * MAX_DESCRIPTORS
        flags = socket.MSG_CMSG_CLOEXEC
        payload, ancillary, _, _ = self.owner.recvmsg(2 * INLINE_LIMIT, socket.CMSG_SPACE(size), flags)
        if not payload:
            return False
        descriptors = array.array("i")
        for _, _, content in ancillary:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
        try:
            message = orjson.loads(payload)
            if message["op"] == "large":
                message = orjson.loads(os.pread(descriptors[-1], MAX_MESSAGE, 0))
            self._act(message, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _act(self, message: dict[str, Any], descriptors: array.array[int]) -> None:
        if message["op"] == "noted":
            if message["pid"] in self.told:
                self._forget(message["pid"])
            return
        if message["op"] == "signal":
            if message["pid"] in self.children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(message["pid"], message["signal"])
            return
        received = dict(zip(message["targets"], descriptors, strict=False))
        try:
            self._fork(message["number"], decode(message["request"]), received)
        except OSError as error:
            self._fail(message["number"], error.errno or 0, "fork", error.strerror or str(error))

    def _fork(self, number: int, request: SpawnRequest, received: dict[int, int]) -> None:
        reading, report = os.pipe2(os.O_CLOEXEC)
        moved = False
        try:
            moved = self._enter_pid_namespace(request)
            pid = os.fork()
            if pid == 0:
                become(request, received, report)
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(report)
            if moved:
                syscalls.setns_fd(self._home, Clone.NEWPID)
        self.children.add(pid)
        self.starting[reading] = (pid, number, b"")
        self._poll.register(reading, select.POLLIN)

    def _enter_pid_namespace(self, request: SpawnRequest) -> bool:
        """For the next child only; the caller goes back."""
        if "pid" in request.new_namespaces:
            syscalls.unshare(Clone.NEWPID)
        elif path := request.join_namespaces.get("pid"):
            syscalls.setns(path, Clone.NEWPID)
        else:
            return False
        return True

    def _hear(self, reading: int) -> None:
        """The child's report: words are a failure, the end of them is the answer."""
        pid, number, words = self.starting[reading]
        if more := os.read(reading, 65536):
            self.starting[reading] = (pid, number, words + more)
            return
        self._poll.unregister(reading)
        os.close(reading)
        del self.starting[reading]
        if words:
            failure = orjson.loads(words)
            self.ended.pop(pid, None)
            self._forget(pid)
            self._fail(number, failure["errno"], failure["stage"], failure["message"])
            return
        self._tell({"op": "spawned", "number": number, "pid": pid})
        if (status := self.ended.pop(pid, None)) is not None:
            self._tell_end(pid, status)

    def _look(self) -> None:
        """Tell of the children that have ended. They stay until the owner has noted it: if it dies before, or this
        process does, whoever adopts them hears of their ends."""
        for pid in list(self.elder):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self.elder.discard(pid)
        starting = {pid for pid, _, _ in self.starting.values()}
        for pid in self.children - self.told - self.ended.keys():
            try:
                ending = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                self.children.discard(pid)
                continue
            if ending is None:
                continue
            if pid in starting:
                self.ended[pid] = _wait_status(ending)
            else:
                self._tell_end(pid, _wait_status(ending))

    def _tell_end(self, pid: int, status: int) -> None:
        self.told.add(pid)
        self._tell({"op": "exited", "pid": pid, "status": status})

    def _forget(self, pid: int) -> None:
        self.children.discard(pid)
        self.told.discard(pid)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)

    def _fail(self, number: int, code: int, stage: str, message: str) -> None:
        self._tell({"op": "failed", "number": number, "errno": code, "stage": stage, "message": message})

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            self.owner.send(orjson.dumps(message))
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise
            os._exit(0)


def _wait_status(ending: os.waitid_result) -> int:
    """As waitpid(2) tells it."""
    if ending.si_code == os.CLD_EXITED:
        return ending.si_status << 8
    return ending.si_status | (0x80 if ending.si_code == os.CLD_DUMPED else 0)


def run(owner: socket.socket, name: str, elder: Iterable[int] = ()) -> NoReturn:
    """Be the server in a process just forked; never returns. `elder`: the children that it has already."""
    code = 0
    try:
        kept = sorted({0, 1, 2, owner.fileno()})
        for lower, upper in zip(kept, [*kept[1:], 1 << 20], strict=True):
            os.closerange(lower + 1, upper)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        owner.setblocking(True)
        syscalls.load()
        with contextlib.suppress(OSError):
            set_title([name])
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection in a child would copy every page; a Python program turns it on again
        Server(owner, elder=set(elder)).serve()
    except BaseException as error:
        code = 1
        with contextlib.suppress(Exception):
            sys.stderr.write(f"{name}: {type(error).__name__}: {error}\n")
    os._exit(code)
