"""Connects to every node port now and then, and remembers who answered.

Costs a connection a target every two seconds; nothing while there are no targets.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable

from panal.sockets import connect

from ..forward.balance import Target
from .health import Health

_log = logging.getLogger(__name__)

TIMEOUT = 1.0
_AT_ONCE = 64
"""Checks under way together."""


class Checker:
    """`on_change` is called when a target that was up is down, or the other way round."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._health: dict[Target, Health] = {}
        self._due: dict[Target, float] = {}
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def set_targets(self, targets: Iterable[Target]) -> None:
        """Check these and no others; new ones at once."""
        wanted = set(targets)
        for target in self._health.keys() - wanted:
            del self._health[target], self._due[target]
        for target in wanted - self._health.keys():
            self._health[target], self._due[target] = Health(), 0.0
            self._wake.set()

    def is_up(self, target: Target) -> bool:
        return self._health.get(target, Health()).usable

    def failed(self, target: Target) -> None:
        """A client's connection to it failed: believe that at once, and look again soon."""
        if target in self._health:
            self._learn(target, self._health[target].failed())
            self._wake.set()

    def states(self) -> dict[Target, bool | None]:
        return {target: health.up for target, health in self._health.items()}

    async def run(self) -> None:
        """Check until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            now = loop.time()
            await asyncio.gather(*[self._check(target) for target, due in self._due.items() if due <= now])
            try:
                async with asyncio.timeout_at(min(self._due.values(), default=None)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _check(self, target: Target) -> None:
        async with self._slots:
            answered = await answers(target)
        if target in self._health:
            self._learn(target, self._health[target].observed(answered))

    def _learn(self, target: Target, health: Health) -> None:
        before = self._health[target]
        self._health[target] = health
        self._due[target] = asyncio.get_running_loop().time() + health.interval
        if before.usable != health.usable:
            _log.info("%s:%d is %s", *target, "up" if health.usable else "down")
            self._on_change()


async def answers(target: Target) -> bool:
    """Whether a TCP connection to the target is accepted. It is ended in order: a reset would make servers complain."""
    with socket.socket() as sock:
        sock.setblocking(False)
        try:
            async with asyncio.timeout(TIMEOUT):
                await connect(sock, target)
        except OSError:  # TimeoutError is one too
            return False
    return True
