"""Publishes the cluster's CA in every namespace, and puts it back when somebody changes it."""

from __future__ import annotations

from panal.controllers import Controller
from panal.errors import AlreadyExists, StatusError
from panal.informer import Applied, Delta
from panal.resources import CONFIGMAPS, NAMESPACES

from ..context import Context
from ..meta import name, namespace
from ..podcontrol import is_terminating
from . import decide


class RootCA:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._namespaces = context.informers.of(NAMESPACES)
        self._maps = context.informers.of(CONFIGMAPS, field_selector=f"metadata.name={decide.NAME}")
        self._controller: Controller[str] = Controller("root-ca-certificate-publisher", self.reconcile, workers=2)
        self._namespaces.subscribe(self._on_namespace)
        self._maps.subscribe(self._on_map)

    async def run(self) -> None:
        if not self._context.settings.root_ca:
            return
        await self._context.ready(self._namespaces, self._maps)
        await self._controller.run()

    def _on_namespace(self, delta: Delta) -> None:
        if isinstance(delta, Applied):
            self._controller.queue.add(name(delta.new))

    def _on_map(self, delta: Delta) -> None:
        obj = delta.new if isinstance(delta, Applied) else delta.old
        self._controller.queue.add(namespace(obj))

    async def reconcile(self, which: str) -> float | None:
        found = self._namespaces.get("", which)
        if found is None:
            return None
        current = self._maps.get(which, decide.NAME)
        wanted = decide.wanted(found, current, self._context.settings.root_ca)
        if wanted is None:
            return None
        try:
            if current is None:
                await self._context.client.create(CONFIGMAPS, wanted, which)
            else:
                await self._context.client.update(CONFIGMAPS, wanted)
        except AlreadyExists:
            return None
        except StatusError as error:
            if not is_terminating(error):
                raise
        return None
