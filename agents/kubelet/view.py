"""The node's sandboxes and containers as the runtime last told, by pod; kept fresh by the runtime's events."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from panal import tasks

from ..runtime.contract import Container, ContainerChanged, ContainerState, Runtime, RuntimeFailure, Sandbox

_log = logging.getLogger(__name__)

_RETRY_FIRST, _RETRY_MOST = 0.005, 0.25
"""Seconds between attempts to reach the runtime: it is on the same machine, and the steward restarts it at once."""


@dataclass(frozen=True)
class PodView:
    """What the runtime has of one pod: its newest sandbox, earlier ones, containers by name from the oldest attempt."""

    sandbox: Sandbox | None = None
    old_sandboxes: Sequence[Sandbox] = ()
    containers: Mapping[str, Sequence[Container]] = field(default_factory=dict)

    def sandbox_ids(self) -> list[str]:
        return [found.id for found in (self.sandbox, *self.old_sandboxes) if found is not None]

    def running(self) -> list[Container]:
        every = [attempt for attempts in self.containers.values() for attempt in attempts]
        return [item for item in every if item.state is ContainerState.RUNNING]


NOTHING = PodView()


def by_pod(sandboxes: Sequence[Sandbox], containers: Sequence[Container]) -> dict[str, PodView]:
    """The runtime's lists as a view by pod uid. Pure."""
    owner: dict[str, str] = {sandbox.id: sandbox.config.uid for sandbox in sandboxes}
    mine: dict[str, list[Sandbox]] = {}
    for sandbox in sorted(sandboxes, key=lambda item: (item.config.attempt, item.created_at)):
        mine.setdefault(sandbox.config.uid, []).append(sandbox)
    attempts: dict[str, dict[str, list[Container]]] = {}
    for container in sorted(containers, key=lambda item: (item.config.attempt, item.created_at)):
        if (uid := owner.get(container.sandbox_id)) is not None:
            attempts.setdefault(uid, {}).setdefault(container.config.name, []).append(container)
    return {uid: PodView(owned[-1], owned[:-1], attempts.get(uid, {})) for uid, owned in mine.items()}


class RuntimeView:
    """`run` keeps it; `refresh` is awaited by whoever did something and wants to see it."""

    def __init__(self, runtime: Runtime, changed: Callable[[str], None]) -> None:
        """`changed` is called with the uid of each pod that looks different."""
        self._runtime = runtime
        self._changed = changed
        self._pods: dict[str, PodView] = {}
        self._owners: dict[str, str] = {}
        """The pods' uids by their sandboxes' ids."""
        self._heard: set[str | None] = set()
        """Of whom the events since the last look told."""
        self._listing = False
        self._waiting: asyncio.Future[None] | None = None
        """Whoever asked while a list was under way: it may have begun before what they want to see."""
        self._stale = asyncio.Event()
        self.ready = asyncio.Event()
        """Set once the runtime has told what it has."""
        self.connected = False
        self.on_connection: Callable[[bool], None] = lambda _: None

    def pod(self, uid: str) -> PodView:
        return self._pods.get(uid, NOTHING)

    def uids(self) -> Sequence[str]:
        return list(self._pods)

    async def run(self) -> None:
        """Follow the runtime's events until cancelled, through its restarts."""
        delay = _RETRY_FIRST
        while True:
            try:
                async with self._runtime.events() as events:
                    await self.refresh()
                    self._set_connected(True)
                    self.ready.set()
                    delay = _RETRY_FIRST
                    keeping = tasks.spawn(self._keep_fresh(), name="containers")
                    try:
                        async for event in events:
                            self.tell(event)
                    finally:
                        await tasks.cancel(keeping)
            except (RuntimeFailure, OSError) as error:
                _log.debug("runtime: %s", error)
            self._set_connected(False)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _RETRY_MOST)

    def tell(self, event: ContainerChanged) -> None:
        """The runtime says that something has changed: look at it soon."""
        self._heard.add(self._owners.get(event.sandbox_id))
        self._stale.set()

    async def _keep_fresh(self) -> None:
        """Look at each pod of which something was heard since the last time, once; at all for a sandbox unknown."""
        while True:
            await self._stale.wait()
            await asyncio.sleep(0)  # whoever did what is told of looks for itself now, and once is enough
            self._stale.clear()
            heard, self._heard = self._heard, set()
            with contextlib.suppress(RuntimeFailure, OSError):
                for uid in heard if None not in heard else {None}:
                    await self.refresh(uid)

    def _set_connected(self, connected: bool) -> None:
        if connected != self.connected:
            self.connected = connected
            self.on_connection(connected)

    async def refresh(self, uid: str | None = None) -> None:
        """Return once a list that began after this call is here, of this pod's or of all.

        Callers that wait for the list of all together share one. Answers come in the order of the questions. Raises
        RuntimeFailure when the runtime does not answer.
        """
        if uid is not None:
            await self._look_at(uid)
            return
        if not self._listing:
            self._listing = True
            await self._list()
            return
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._waiting)

    async def _look_at(self, uid: str) -> None:
        """What was heard of the pod until now needs no other look, unless this one comes to nothing."""
        told = uid in self._heard
        self._heard.discard(uid)
        try:
            fresh = by_pod(*await self._runtime.of_pod(uid))
        except BaseException:
            if told:
                self._heard.add(uid)
                self._stale.set()
            raise
        self._show(uid, fresh.get(uid))

    async def _list(self) -> None:
        try:
            sandboxes, containers = await asyncio.gather(self._runtime.sandboxes(), self._runtime.containers())
            self._replace(by_pod(sandboxes, containers))
        finally:
            waiting, self._waiting = self._waiting, None
            if waiting is None:
                self._listing = False
            else:
                tasks.spawn(self._list_again(waiting), name="list containers")

    async def _list_again(self, waiting: asyncio.Future[None]) -> None:
        try:
            await self._list()
        except (RuntimeFailure, OSError) as error:
            waiting.set_exception(RuntimeFailure(str(error)))
            waiting.exception()
        else:
            waiting.set_result(None)

    def _replace(self, fresh: dict[str, PodView]) -> None:
        for uid in self._pods.keys() | fresh.keys():
            self._show(uid, fresh.get(uid))

    def _show(self, uid: str, fresh: PodView | None) -> None:
        """This is what there is of the pod now; None is nothing."""
        before = self._pods.pop(uid, None)
        for sandbox_id in before.sandbox_ids() if before is not None else ():
            self._owners.pop(sandbox_id, None)
        if fresh is not None:
            self._pods[uid] = fresh
            self._owners.update(dict.fromkeys(fresh.sandbox_ids(), uid))
        if before != fresh:
            self._changed(uid)
