"""Commands run beside a container's process, their outputs caught: `exec` and probes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal

from .capture import Capture, Feed
from .contract import ExecResult, RuntimeFailure
from .life import exit_code
from .request import SpawnRequest
from .spawner import Spawner, SpawnFailed

_LINGER = 1.0
"""Seconds that outputs are still read when the command has ended but something it started holds them."""


class Executions:
    def __init__(self, spawner: Spawner) -> None:
        self._spawner = spawner
        self._running: dict[int, asyncio.Future[int]] = {}
        spawner.on_exit(self._exited)
        spawner.on_lost(self._lost)

    async def run(self, request: SpawnRequest, *, timeout: float | None, stdin: bytes = b"") -> ExecResult:
        """Run it to its end. Raises TimeoutError, the command killed, and RuntimeFailure when it can't be started."""
        out, err, fed = Capture(), Capture(), Feed(stdin) if stdin else None
        streams = dataclasses.replace(
            request, stdout=out.write_end, stderr=err.write_end, stdin=fed.read_end if fed else None
        )
        try:
            pid = await self._start(streams)
            ended = self._running[pid] = asyncio.get_running_loop().create_future()
            for stream in (out, err, fed):
                if stream is not None:
                    stream.started()
            try:
                status = await asyncio.wait_for(asyncio.shield(ended), timeout)
            except (TimeoutError, asyncio.CancelledError):
                self._spawner.signal(pid, signal.SIGKILL)
                raise
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LINGER):
                    await out.ended.wait()
                    await err.ended.wait()
        finally:
            kept = out.close(), err.close()
            if fed is not None:
                fed.close()
        return ExecResult(exit_code(status)[0], *kept)

    async def _start(self, request: SpawnRequest) -> int:
        try:
            return await self._spawner.spawn(request)
        except SpawnFailed as failure:
            raise RuntimeFailure(words(request, failure)) from None

    def _exited(self, pid: int, status: int) -> None:
        if (ended := self._running.pop(pid, None)) and not ended.done():
            ended.set_result(status)

    def _lost(self) -> None:
        for ended in self._running.values():
            if not ended.done():
                ended.set_exception(RuntimeFailure("the runtime's spawner has ended"))
                ended.exception()
        self._running.clear()


def words(request: SpawnRequest, failure: SpawnFailed) -> str:
    """runc's words."""
    why = failure.strerror or ""
    program = request.argv[0] if request.argv else ""
    if failure.stage == "exec":
        if failure.errno == 2:
            why = (
                "executable file not found in $PATH"
                if "/" not in program
                else f"stat {program}: no such file or directory"
            )
        elif failure.errno == 13:
            why = "permission denied"
        why = f'exec: "{program}": {why}'
    return f"OCI runtime exec failed: exec failed: unable to start container process: {why}: unknown"
