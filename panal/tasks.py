"""Tasks that are kept, have names a stranger understands, and whose failures are logged; and how a process runs one.

Prefer an asyncio.TaskGroup. `spawn` is for tasks whose life is not a block's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any

_kept: set[asyncio.Task[Any]] = set()
_log = logging.getLogger(__name__)


def spawn(coroutine: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
    """Start a task that nobody needs to keep; an exception in it is logged with its name."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _kept.add(task)
    task.add_done_callback(_done)
    return task


def _done(task: asyncio.Task[Any]) -> None:
    _kept.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("task %s failed", task.get_name(), exc_info=error)


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


def run_until_signal(main: Callable[[], Coroutine[Any, Any, Any]]) -> int:
    """Run `main()` on a new uvloop until it returns or SIGTERM or SIGINT comes; then it is cancelled.

    Returns 0 after a signal or a normal return. Works in a process that was forked from one with other loops.
    """
    import uvloop

    async def supervised() -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(main(), name="main")
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(supervised())
    return 0
