"""A container's own stdin, stdout and stderr: FIFOs in its folder, and before them a terminal if it wants one.

    stdin    there if the container has an input; gone once a `stdin_once` input was given to somebody
    stdout   read by the runtime for the log
    stderr   as well; a terminal has none
    control  a terminal's sizes

The process holds its FIFOs open both ways, so that it does not notice when the runtime dies. Only the input of
`stdin_once` is held by the runtime, because it must end when the one who was attached goes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from . import terminals
from .contract import ContainerConfig
from .request import SpawnRequest
from .session import CONTROL
from .spawner import Spawner
from .terminal import CONTROL as CONTROL_NUMBER
from .terminal import MASTER as MASTER_NUMBER

OUTPUTS = ("stdout", "stderr")


def keep_stdin(folder: Path, config: ContainerConfig) -> int | None:
    """What keeps a `stdin_once` input open until somebody attaches; None when there is nothing to keep."""
    if not (config.stdin and config.stdin_once):
        return None
    try:
        return os.open(folder / "stdin", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None


class Stdio:
    """Opened for a process that is about to start. `child` is what it gets; `close` when it has started, or failed."""

    def __init__(self, folder: Path, config: ContainerConfig) -> None:
        """Raises OSError."""
        self._stack = contextlib.ExitStack()
        self._folder, self._config = folder, config
        self.child: dict[str, int] = {}
        self._files: dict[str, int] = {}
        self._master = -1
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        if self._config.stdin:
            self._fifo("stdin")
            once = self._config.stdin_once
            self._files["stdin"] = self._opened("stdin", os.O_RDONLY | os.O_NONBLOCK if once else os.O_RDWR)
            os.set_blocking(self._files["stdin"], True)
        if self._config.log_path:
            self._files["stdout"] = self._opened("stdout", os.O_RDWR)
        if not self._config.tty:
            if self._config.log_path:
                self._files["stderr"] = self._opened("stderr", os.O_RDWR)
            self.child = self._files
            return
        self._fifo(CONTROL)
        self._files[CONTROL] = self._opened(CONTROL, os.O_RDWR)
        self._master, slave = terminals.open_pair()
        self._stack.callback(os.close, self._master)
        self._stack.callback(os.close, slave)
        self.child = dict.fromkeys(("stdin", "stdout", "stderr"), slave)

    async def start_terminal(self, spawner: Spawner) -> None:
        """Start what serves the terminal, before the process is. Raises SpawnFailed."""
        if self._master < 0:
            return
        request = SpawnRequest(
            (),
            python="panal.agents.runtime.terminal:main",
            name="terminal",
            env={},
            stdin=self._files.get("stdin"),
            stdout=self._files.get("stdout"),
            fds={MASTER_NUMBER: self._master, CONTROL_NUMBER: self._files[CONTROL]},
        )
        await spawner.spawn(request)

    def close(self) -> None:
        self._stack.close()

    def _fifo(self, name: str) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self._folder / name, 0o600)

    def _opened(self, name: str, flags: int) -> int:
        descriptor = os.open(self._folder / name, flags | os.O_CLOEXEC)
        self._stack.callback(os.close, descriptor)
        return descriptor


def open_stdin(folder: Path, config: ContainerConfig) -> int | None:
    """Where somebody who attaches writes; None when the container has no input, or its only one was given away."""
    if not config.stdin:
        return None
    try:
        descriptor = os.open(folder / "stdin", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if config.stdin_once:
        (folder / "stdin").unlink(missing_ok=True)
    return descriptor


def open_control(folder: Path) -> int | None:
    try:
        return os.open(folder / CONTROL, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None


def outputs(config: ContainerConfig, wanted: Sequence[str]) -> list[str]:
    """The outputs that somebody who attaches can have."""
    there = ("stdout",) if config.tty else OUTPUTS
    return [name for name in there if name in wanted and config.log_path]
