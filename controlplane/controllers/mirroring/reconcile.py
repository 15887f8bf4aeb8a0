"""Keeps slices in step with Endpoints that users write."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable

from panal.controllers import Controller
from panal.errors import NotFound, StatusError
from panal.informer import Applied, Deleted, Delta
from panal.resources import ENDPOINTS, ENDPOINTSLICES, SERVICES

from ..context import Context
from ..endpointslice.decide import MANAGED_BY, SERVICE_NAME
from ..expectations import Expectations
from ..meta import Key, Object, key, labels, name, namespace, uid
from ..podcontrol import is_terminating
from . import decide


def by_mirrored(obj: Object) -> Iterable[Hashable]:
    """The Endpoints object whose mirror it is."""
    if labels(obj).get(MANAGED_BY) == decide.MANAGER and (service := labels(obj).get(SERVICE_NAME)):
        yield namespace(obj), service


class Mirroring:
    def __init__(self, context: Context) -> None:
        informers = context.informers
        self._context = context
        self._slices_of = informers.index(ENDPOINTSLICES, by_mirrored)
        self._slices = informers.of(ENDPOINTSLICES)
        self._services = informers.of(SERVICES)
        self._endpoints = informers.of(ENDPOINTS)
        self._expectations: Expectations[Key] = Expectations()
        self._controller: Controller[Key] = Controller("endpointslicemirroring", self.reconcile, workers=2)
        for informer in (self._services, self._endpoints):
            informer.subscribe(self._on_object)
        self._slices.subscribe(self._on_slice)

    async def run(self) -> None:
        await self._context.ready(self._services, self._endpoints, self._slices)
        await self._controller.run()

    def _on_object(self, delta: Delta) -> None:
        self._controller.queue.add(key(delta.new if isinstance(delta, Applied) else delta.old))

    def _on_slice(self, delta: Delta) -> None:
        obj = delta.new if isinstance(delta, Applied) else delta.old
        for which in by_mirrored(obj):
            assert isinstance(which, tuple)
            if isinstance(delta, Applied) and delta.old is None:
                self._expectations.created(which)
            if isinstance(delta, Deleted):
                self._expectations.deleted(which, uid(obj))
            self._controller.queue.add(which)

    async def reconcile(self, which: Key) -> float | None:
        endpoints, service = self._endpoints.get(*which), self._services.get(*which)
        if not self._expectations.satisfied(which, time.monotonic()):
            return None
        source = endpoints if decide.is_mirrored(endpoints, service) else None
        plan = decide.plan(source, self._slices_of.get(which))
        client, left = self._context.client, len(plan.create)
        doomed = [uid(item) for item in plan.delete]
        self._expectations.expect(which, time.monotonic(), creations=left, deletions=doomed)
        try:
            for item in plan.create:
                await client.create(ENDPOINTSLICES, item, which[0])
                left -= 1
            for item in plan.update:
                await client.update(ENDPOINTSLICES, item)
        except StatusError as error:
            if not is_terminating(error):
                raise
        finally:
            self._expectations.created(which, left)
        for item in plan.delete:
            await self._delete(which, item)
        return None

    async def _delete(self, which: Key, item: Object) -> None:
        try:
            await self._context.client.delete(ENDPOINTSLICES, name(item), namespace(item), uid=uid(item))
        except NotFound:
            self._expectations.deleted(which, uid(item))
