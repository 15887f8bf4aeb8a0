"""Keeps the status of ResourceQuotas true. Objects nobody here watches are counted by asking, when a quota names
them.
"""

from __future__ import annotations

import asyncio

from panal.controllers import Controller
from panal.informer import Applied, Delta, Informer
from panal.resources import PODS, RESOURCEQUOTAS, resource

from ..context import Context, by_namespace
from ..meta import Key, Object, key, namespace, spec, status
from ..pods import is_terminal
from . import decide
from .custom import CustomKinds

PATIENCE = 10.0
"""Seconds to wait for the first list of a custom kind, which may go meanwhile, before looking again."""


class Quotas:
    def __init__(self, context: Context) -> None:
        informers = context.informers
        self._context = context
        self._quotas_in = informers.index(RESOURCEQUOTAS, by_namespace)
        self._pods_in = informers.index(PODS, by_namespace)
        self._quotas = informers.of(RESOURCEQUOTAS)
        self._pods = informers.of(PODS)
        self._counted: dict[tuple[str, str], Informer] = {}
        self._custom = CustomKinds(context, self._on_object, self._on_definition)
        self._controller: Controller[Key] = Controller("resourcequota", self.reconcile, workers=2)
        self._quotas.subscribe(self._on_quota)
        self._pods.subscribe(self._on_object)

    async def run(self) -> None:
        await self._context.ready(self._quotas, self._pods)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._custom.run(), name="resourcequota-custom-kinds")
            group.create_task(self._controller.run(), name="resourcequota")

    def _on_quota(self, delta: Delta) -> None:
        if isinstance(delta, Applied):
            self._controller.queue.add(key(delta.new))

    def _on_object(self, delta: Delta) -> None:
        """What an object uses changes when it comes, ends or goes, or when its spec does."""
        obj = delta.new if isinstance(delta, Applied) else delta.old
        if isinstance(delta, Applied) and delta.old is not None:
            if is_terminal(delta.old) == is_terminal(obj) and spec(delta.old) == spec(obj):
                return
        for quota in self._quotas_in.get(namespace(obj)):
            self._controller.queue.add(key(quota))

    def _on_definition(self, group: str, plural: str) -> None:
        item = f"count/{plural}.{group}"
        for quota in self._quotas.all():
            if item in (spec(quota).get("hard") or {}):
                self._controller.queue.add(key(quota))

    async def reconcile(self, which: Key) -> float | None:
        quota = self._quotas.get(*which)
        if quota is None:
            return None
        entries = [item for item in spec(quota).get("hard") or {} if decide.counted(item) and item != "count/pods"]
        objects = {item: await self._list(item, which[0]) for item in entries}
        hard = spec(quota).get("hard") or {}
        wanted = {"hard": hard, "used": decide.used(quota, self._pods_in.get(which[0]), objects)}
        if wanted != status(quota):
            await self._context.client.update_status(RESOURCEQUOTAS, {**quota, "status": wanted})
        return None

    async def _list(self, item: str, where: str) -> list[Object]:
        group, plural = decide.counted(item) or ("", "")
        informer = self._counted.get((group, plural))
        if informer is None:
            try:
                informer = self._context.informers.of(resource(plural, group))
            except KeyError:
                return await self._list_custom(group, plural, where)
            self._counted[group, plural] = informer
            informer.subscribe(self._on_object)
        await informer.synced()
        return [obj for obj in informer.all() if namespace(obj) == where]

    async def _list_custom(self, group: str, plural: str, where: str) -> list[Object]:
        """Raises TimeoutError, after which the queue comes back to the quota."""
        informer = await self._custom.informer(group, plural)
        if informer is None:
            return []
        async with asyncio.timeout(PATIENCE):
            await informer.synced()
        return [obj for obj in informer.all() if namespace(obj) == where]
