"""One container's process while it runs: how its end is heard, how it is signalled, where its output goes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass, field

from .logs import Pump
from .spawner import Spawner


@dataclass
class Life:
    """A running process. `pidfd` is set for an adopted one, which isn't our spawner's child."""

    pid: int
    pump: Pump | None = None
    pidfd: int | None = None
    stdin: int | None = None
    """The end that keeps a `stdin_once` container's input open until somebody attaches."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def kill(self, spawner: Spawner, number: int) -> None:
        """Send a signal; never to another process that got the same pid."""
        if self.pidfd is None:
            spawner.signal(self.pid, number)
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def release_stdin(self) -> None:
        """The input ends when whoever is attached closes it."""
        if self.stdin is not None:
            os.close(self.stdin)
            self.stdin = None

    def close(self) -> None:
        self.release_stdin()
        if self.pump is not None:
            self.pump.finish()
            self.pump = None
        if self.pidfd is not None:
            asyncio.get_running_loop().remove_reader(self.pidfd)
            os.close(self.pidfd)
            self.pidfd = None
        self.ended.set()


def exit_code(status: int) -> tuple[int, int | None]:
    """(exit code as a shell tells it, signal) of a wait status."""
    code = os.waitstatus_to_exitcode(status)
    return (128 - code, -code) if code < 0 else (code, None)
