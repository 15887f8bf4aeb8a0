"""Keeps one component running: started again when it ends, at once the first time, later after short pauses."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import Any, Protocol

from panal.agents.network.contract import Space
from panal.agents.runtime.request import SpawnRequest

from .components import Component

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
STEADY = 10.0
"""Seconds after which a component counts as having worked: its next end is a first one again."""

_log = logging.getLogger(__name__)


class Starter(Protocol):
    """Who starts processes; `early` asks for the spawner that is ready first, where there still is one."""

    async def spawn(self, request: SpawnRequest, *, early: bool) -> int: ...


def pause_after(quick_ends: int) -> float:
    """Seconds to wait before the next start, after so many ends in a row that came soon."""
    return 0.0 if quick_ends == 0 else min(FIRST_PAUSE * 2.0 ** (quick_ends - 1), LONGEST_PAUSE)


class Supervised:
    """One component's life; `log` None is this process's own standard error.

    `ended` must be called with every (pid, wait status) that comes to be known."""

    def __init__(self, component: Component, space: Space, log: Path | None, starter: Starter) -> None:
        self.component = component
        self.pid: int | None = None
        self.starts = 0
        self.last_exit: int | None = None
        self.done = False
        self.leaving = False
        """Its next end is its last."""
        self.over = asyncio.Event()
        self._space = space
        self._log_file = log
        self._starter = starter
        self._exit: asyncio.Future[int] | None = None

    def ended(self, pid: int, status: int) -> bool:
        """Whether this process was it."""
        if pid != self.pid or self._exit is None or self._exit.done():
            return False
        self._exit.set_result(os.waitstatus_to_exitcode(status))
        return True

    async def run(self) -> None:
        """Until it is done (`once`, `leaving`), or for ever."""
        quick_ends = 0
        while not self.done:
            began = time.monotonic()
            code = await self._live()
            self.done = self.leaving or (self.component.once and code == 0)
            if not self.done:
                _log.warning("%s ended with %s", self.component.name, code)
                quick_ends = 0 if time.monotonic() - began > STEADY else quick_ends + 1
                await asyncio.sleep(pause_after(quick_ends - 1 if quick_ends else 0))
        self.over.set()

    def state(self) -> dict[str, Any]:
        return {
            "name": self.component.name,
            "host": self.component.host,
            "pid": self.pid,
            "restarts": max(self.starts - 1, 0),
            "lastExit": self.last_exit,
            "done": self.done,
        }

    def _open_log(self) -> int:
        if self._log_file is None:
            return os.dup(2)
        return os.open(self._log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    async def _live(self) -> int:
        """One life, from its start to its end; the exit code, negative for a signal."""
        output = self._open_log()
        self._exit = asyncio.get_running_loop().create_future()
        request = SpawnRequest(
            argv=self.component.arguments,
            python=self.component.entry,
            name=self.component.title,
            stdout=output,
            stderr=output,
            netns=self._space.netns,
        )
        try:
            self.pid = await self._starter.spawn(request, early=self.component.early and self.starts == 0)
            self.starts += 1
            words = "started" if self.starts == 1 else f"started again, restart {self.starts - 1}"
            _log.info("%s %s as process %d", self.component.name, words, self.pid)
            os.write(output, f"--- {self.component.title} {words} as process {self.pid}\n".encode())
        except OSError as error:
            _log.error("%s could not be started: %s", self.component.name, error)
            return 127
        finally:
            os.close(output)
        self.last_exit = await self._exit
        self.pid = None
        return self.last_exit
