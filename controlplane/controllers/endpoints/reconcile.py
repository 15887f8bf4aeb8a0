"""Keeps Endpoints objects true, one a Service with a selector."""

from __future__ import annotations

from panal.controllers import Controller
from panal.errors import AlreadyExists, NotFound, StatusError
from panal.informer import Applied, Deleted, Delta
from panal.resources import ENDPOINTS

from ..context import Context
from ..meta import Key, is_deleting, key, metadata, uid
from ..podcontrol import is_terminating
from ..selection import ServicePods, is_selecting
from . import decide

BATCH = 0.02
"""Seconds that changes are gathered (upstream's --endpoint-updates-batch-period): all addresses are written each time,
and who carries traffic reads the slices, which come first.
"""


class Endpoints:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._controller: Controller[Key] = Controller("endpoints", self.reconcile, workers=4)
        self._endpoints = context.informers.of(ENDPOINTS)
        self._written: dict[Key, str] = {}
        """The resourceVersion that was written last: news of that is no news."""
        self._watched = ServicePods(context, lambda which: self._controller.queue.add_after(which, BATCH))
        self._endpoints.subscribe(self._on_endpoints)

    async def run(self) -> None:
        await self._context.ready(self._watched.services, self._watched.pods, self._endpoints)
        await self._controller.run()

    def _on_endpoints(self, delta: Delta) -> None:
        obj = delta.new if isinstance(delta, Applied) else delta.old
        mine = self._written.pop(key(obj), None) if isinstance(delta, Deleted) else self._written.get(key(obj))
        if decide.is_ours(obj) and (isinstance(delta, Deleted) or mine != metadata(obj).get("resourceVersion")):
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
                done = await client.update(ENDPOINTS, wanted)
                self._written[which] = str(metadata(done).get("resourceVersion"))
        except AlreadyExists:
            return None  # made a moment ago: its event is on the way and brings the next look
        except StatusError as error:
            if is_terminating(error):
                return None
            raise
        return None
