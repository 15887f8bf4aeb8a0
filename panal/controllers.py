"""A controller: a queue of keys, and workers that call `reconcile(key)`.

`reconcile` reads the state when it acts. It returns None when satisfied, or seconds after which to look
again; an exception is tried again with back-off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from .client import Unreachable
from .errors import Conflict, StatusError
from .workqueue import WorkQueue

K = TypeVar("K", bound=Hashable)
_log = logging.getLogger(__name__)


class Controller(Generic[K]):
    """Runs `reconcile` for every key in `queue`, `workers` keys at a time, never one key twice at once."""

    def __init__(
        self,
        name: str,
        reconcile: Callable[[K], Awaitable[float | None]],
        *,
        queue: WorkQueue[K] | None = None,
        workers: int = 4,
    ) -> None:
        self.name = name
        self.queue: WorkQueue[K] = queue if queue is not None else WorkQueue()
        self._reconcile = reconcile
        self._workers = workers

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._workers):
                    group.create_task(self._work(), name=f"{self.name}-{number}")
        finally:
            self.queue.close()

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                again = await self._reconcile(key)
            except (Conflict, Unreachable) as error:
                _log.debug("%s %s: %s", self.name, key, error)
                self.queue.add_rate_limited(key)
            except StatusError as error:
                _log.warning("%s %s: %s", self.name, key, error)
                self.queue.add_rate_limited(key)
            except Exception:
                _log.exception("%s %s failed", self.name, key)
                self.queue.add_rate_limited(key)
            else:
                self.queue.forget(key)
                if again is not None:
                    self.queue.add_after(key, again)
            finally:
                self.queue.done(key)
