"""Keeps slices in step with Endpoints that users write."""

from __future__ import annotations

from panal.controllers import Controller
from panal.errors import StatusError
from panal.informer import Applied, Delta
from panal.resources import ENDPOINTS, SERVICES

from ..context import Context
from ..meta import Key, key
from ..podcontrol import is_terminating
from ..slices import Slices
from . import decide


class Mirroring:
    def __init__(self, context: Context) -> None:
        informers = context.informers
        self._context = context
        self._services = informers.of(SERVICES)
        self._endpoints = informers.of(ENDPOINTS)
        self._controller: Controller[Key] = Controller("endpointslicemirroring", self.reconcile, workers=2)
        for informer in (self._services, self._endpoints):
            informer.subscribe(self._on_object)
        self._slices = Slices(context, decide.MANAGER, self._controller.queue.add)

    async def run(self) -> None:
        await self._context.ready(self._services, self._endpoints, self._slices.informer)
        await self._controller.run()

    def _on_object(self, delta: Delta) -> None:
        self._controller.queue.add(key(delta.new if isinstance(delta, Applied) else delta.old))

    async def reconcile(self, which: Key) -> float | None:
        endpoints, service = self._endpoints.get(*which), self._services.get(*which)
        if not self._slices.satisfied(which):
            return None
        source = endpoints if decide.is_mirrored(endpoints, service) else None
        try:
            await self._slices.perform(which, decide.plan(source, self._slices.of(which)))
        except StatusError as error:
            if not is_terminating(error):
                raise
        return None
