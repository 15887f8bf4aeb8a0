"""Keeps Endpoints objects true, one a Service with a selector."""

from __future__ import annotations

from panal.controllers import Controller
from panal.errors import AlreadyExists, NotFound, StatusError
from panal.informer import Applied, Delta
from panal.resources import ENDPOINTS

from ..context import Context
from ..meta import Key, is_deleting, key, metadata, uid
from ..podcontrol import is_terminating
from ..selection import ServicePods, is_selecting
from . import decide


class Endpoints:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._controller: Controller[Key] = Controller("endpoints", self.reconcile, workers=4)
        self._endpoints = context.informers.of(ENDPOINTS)
        self._watched = ServicePods(context, self._controller.queue.add)
        self._endpoints.subscribe(self._on_endpoints)

    async def run(self) -> None:
        await self._context.ready(self._watched.services, self._watched.pods, self._endpoints)
        await self._controller.run()

    def _on_endpoints(self, delta: Delta) -> None:
        obj = delta.new if isinstance(delta, Applied) else delta.old
        if decide.is_ours(obj):
            self._controller.queue.add(key(obj))

    async def reconcile(self, which: Key) -> float | None:
        client = self._context.client
        service = self._watched.services.get(*which)
        current = self._endpoints.get(*which)
        if service is None:
            if current is not None and decide.is_ours(current) and not is_deleting(current):
                try:
                    await client.delete(ENDPOINTS, which[1], which[0], uid=uid(current))
                except NotFound:
                    pass
            return None
        if not is_selecting(service) or is_deleting(service):
            return None
        wanted = decide.wanted(service, self._watched.of(service), current)
        try:
            if current is None:
                await client.create(ENDPOINTS, wanted, which[0])
            elif wanted.get("subsets") != current.get("subsets") or wanted["metadata"] != metadata(current):
                await client.update(ENDPOINTS, wanted)
        except AlreadyExists:
            return None  # made a moment ago: its event is on the way and brings the next look
        except StatusError as error:
            if is_terminating(error):
                return None
            raise
        return None
