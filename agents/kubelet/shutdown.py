"""Graceful shutdown of the node, as upstream's: no new pods, and those here end in peace, the critical ones last.

Asked for by `POST /shutdown?grace=SECONDS` on the kubelet's port, which answers when it is done. The static pods stay:
the control plane writes down how the others ended. Words are upstream's (pkg/kubelet/nodeshutdown).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from panal import durations, tasks

from . import podspec
from .admission import Refusal
from .model import End, Phase
from .podspec import Pod
from .worker import Worker

_log = logging.getLogger(__name__)

CRITICAL = 2_000_000_000
"""Pods of this priority or more end after the others."""
SHARE = 3
"""The critical pods have this part of the whole time (upstream's example: 10 s of 30)."""
MOST = 3600.0
REFUSED = Refusal("NodeShutdown", "Pod was rejected as the node is shutting down.")
NOT_READY = "node is shutting down"
_MESSAGE = "Pod was terminated in response to imminent node shutdown."
_KILLED = 2.0
"""Seconds more than its grace that a container takes to be killed and told of, at most."""


def plan(pods: Sequence[Pod], grace: float) -> list[tuple[float, list[str]]]:
    """Groups of uids to be ended one after the other, each with the seconds that it gets. Pure."""
    ordinary, critical = list[str](), list[str]()
    for pod in pods:
        important = int(pod["spec"].get("priority") or 0) >= CRITICAL
        (critical if important else ordinary).append(podspec.uid(pod))
    late = grace / SHARE
    return [(share, group) for share, group in ((grace - late, ordinary), (late, critical)) if group]


class Shutdown:
    """`begun` once it was asked for; there is no way back but the node's end."""

    def __init__(self, workers: Callable[[], Sequence[Worker]], not_ready: Callable[[str], None]) -> None:
        self._workers, self._not_ready = workers, not_ready
        self._task: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        return self._task is not None

    async def asked(self, request: web.Request) -> web.Response:
        """The page: answers when all have ended, with the names of those that have not in time."""
        try:
            grace = durations.seconds(request.query.get("grace", ""))
        except ValueError:
            grace = -1.0
        if not 0 <= grace <= MOST:
            return web.Response(status=400, text=f"grace is not between 0s and {MOST:.0f}s\n")
        await self.run(grace)
        left = [podspec.described(worker.pod) for worker in self._others() if not worker.ended.is_set()]
        return web.json_response({"left": left})

    async def run(self, grace: float) -> None:
        """Until all have ended or the time is up; asked again it waits for the first one's end."""
        if self._task is None:
            self._task = tasks.spawn(self._end_all(grace), name="shutdown")
        await asyncio.shield(self._task)

    def _others(self) -> list[Worker]:
        """Of all pods but the static ones."""
        return [worker for worker in self._workers() if not podspec.is_static(worker.pod)]

    async def _end_all(self, grace: float) -> None:
        _log.warning("shutting down: pods have %.0f s", grace)
        self._not_ready(NOT_READY)
        for share, uids in plan([worker.pod for worker in self._others()], grace):
            group = [worker for worker in self._others() if podspec.uid(worker.pod) in uids]
            for worker in group:
                worker.evict(End(Phase.FAILED, "Terminated", _MESSAGE, share))
            await self._ended(group, share + _KILLED)

    async def _ended(self, group: Sequence[Worker], patience: float) -> None:
        """Until the API knows how they ended."""
        try:
            async with asyncio.timeout(patience):
                await asyncio.gather(*(worker.ended.wait() for worker in group))
                await asyncio.gather(*(worker.told() for worker in group))
        except TimeoutError:
            _log.warning("some pods have not ended in time")


def pages(router: Any, shutdown: Shutdown) -> None:
    router.add_post("/shutdown", shutdown.asked)
