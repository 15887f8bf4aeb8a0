"""Streams of a command or a container as a handful of descriptors: the same object in the daemon and in its client.

The daemon opens the descriptors and sends them through its socket; whoever asked reads and writes them directly.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from . import terminals
from .contract import RuntimeFailure
from .request import SpawnRequest

CONTROL = "control"
"""The descriptor that a container's terminal reads its size from."""


class OpenSession:
    """Implements `contract.Session`. Owns its descriptors; `ended` gets the exit code."""

    def __init__(self, descriptors: Mapping[str, int], *, terminal: bool = False) -> None:
        self.descriptors = dict(descriptors)
        self.terminal = terminal
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def streams(self) -> Mapping[str, int]:
        return {name: value for name, value in self.descriptors.items() if name != CONTROL}

    def close(self, stream: str) -> None:
        if (descriptor := self.descriptors.pop(stream, None)) is not None:
            os.close(descriptor)

    def resize(self, rows: int, columns: int) -> None:
        with contextlib.suppress(OSError):
            if (control := self.descriptors.get(CONTROL)) is not None:
                os.write(control, terminals.encode_size(rows, columns))
            elif self.terminal and (master := self.descriptors.get("stdout", self.descriptors.get("stdin"))):
                terminals.set_size(master, rows, columns)

    async def wait(self) -> int:
        return await asyncio.shield(self.ended)

    def finish(self, code: int) -> None:
        if not self.ended.done():
            self.ended.set_result(code)

    def fail(self, message: str) -> None:
        if not self.ended.done():
            self.ended.set_exception(RuntimeFailure(message))
            self.ended.exception()  # whoever waits hears of it; nobody has to

    def close_all(self) -> None:
        for name in list(self.descriptors):
            self.close(name)


class Pipes:
    """The pipes or the terminal of a command that is about to start: `child` is its side, `own` ours."""

    def __init__(self, streams: Sequence[str], *, tty: bool, pid: int | None) -> None:
        """`pid`: a process whose terminals the new one shall be among. Raises OSError."""
        self.own: dict[str, int] = {}
        self.child: dict[str, int] = {}
        try:
            if tty:
                self._open_terminal(streams, pid)
            else:
                for name in streams:
                    self._open_pipe(name)
        except BaseException:
            self.close()
            raise

    def _open_terminal(self, streams: Sequence[str], pid: int | None) -> None:
        master, slave = terminals.open_pair(pid)
        self.child = {"stdin": slave}
        self.own = {"stdout": master}
        if "stdin" in streams:
            self.own["stdin"] = os.dup(master)
        self.child |= {"stdout": os.dup(slave), "stderr": os.dup(slave)}

    def _open_pipe(self, name: str) -> None:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        own, child = (write_end, read_end) if name == "stdin" else (read_end, write_end)
        self.own[name], self.child[name] = own, child
        os.set_blocking(own, False)

    def started(self) -> None:
        """The command has its side; ours must not keep it open."""
        for descriptor in self.child.values():
            os.close(descriptor)
        self.child = {}

    def close(self) -> None:
        self.started()
        for descriptor in self.own.values():
            os.close(descriptor)
        self.own = {}


def connected(request: SpawnRequest, child: Mapping[str, int], terminal: bool) -> SpawnRequest:
    """The request with these streams."""
    get = child.get
    return replace(request, stdin=get("stdin"), stdout=get("stdout"), stderr=get("stderr"), terminal=terminal)
