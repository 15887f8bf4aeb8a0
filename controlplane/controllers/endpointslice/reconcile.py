"""Keeps EndpointSlices true: reads Services and pods from informers, asks `decide`, writes."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable

from panal.controllers import Controller
from panal.errors import NotFound, StatusError
from panal.informer import Applied, Deleted, Delta
from panal.resources import ENDPOINTSLICES, NODES

from ..context import Context
from ..expectations import Expectations
from ..meta import Key, Object, is_deleting, labels, name, namespace, uid
from ..podcontrol import is_terminating
from ..selection import ServicePods, is_selecting
from . import decide

ZONE = "topology.kubernetes.io/zone"


def by_service(obj: Object) -> Iterable[Hashable]:
    """The Service whose slice it is, among those this controller made."""
    if labels(obj).get(decide.MANAGED_BY) == decide.MANAGER and (service := labels(obj).get(decide.SERVICE_NAME)):
        yield namespace(obj), service


class EndpointSlices:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._events = context.recorder("endpoint-slice-controller")
        self._controller: Controller[Key] = Controller("endpointslice", self.reconcile, workers=8)
        self._slices_of = context.informers.index(ENDPOINTSLICES, by_service)
        self._slices = context.informers.of(ENDPOINTSLICES)
        self._nodes = context.informers.of(NODES)
        self._expectations: Expectations[Key] = Expectations()
        self._zones: dict[str, str] = {}
        """Of the nodes that have one."""
        self._written: dict[str, str] = {}
        """Slice -> the resourceVersion this controller gave it last: news of that is no news."""
        self._nodes.subscribe(self._on_node)
        self._watched = ServicePods(context, self._controller.queue.add)
        self._slices.subscribe(self._on_slice)

    async def run(self) -> None:
        await self._context.ready(self._watched.services, self._watched.pods, self._slices, self._nodes)
        await self._controller.run()

    def _on_slice(self, delta: Delta) -> None:
        obj = delta.new if isinstance(delta, Applied) else delta.old
        for service in by_service(obj):
            assert isinstance(service, tuple)
            if isinstance(delta, Applied) and delta.old is None:
                self._expectations.created(service)
            if isinstance(delta, Deleted):
                self._expectations.deleted(service, uid(obj))
                self._written.pop(uid(obj), None)
            elif self._written.get(uid(obj)) == obj["metadata"].get("resourceVersion"):
                continue
            self._controller.queue.add(service)

    def _on_node(self, delta: Delta) -> None:
        match delta:
            case Applied(new, _) if zone := labels(new).get(ZONE):
                self._zones[name(new)] = zone
            case Applied(new, _):
                self._zones.pop(name(new), None)
            case Deleted(old):
                self._zones.pop(name(old), None)

    async def reconcile(self, which: Key) -> float | None:
        service = self._watched.services.get(*which)
        if service is None or is_deleting(service) or not is_selecting(service):
            self._expectations.forget(which)
            if service is not None:
                return None
            for item in self._slices_of.get(which):
                await self._delete(which, item)
            return None
        if not self._expectations.satisfied(which, time.monotonic()):
            return None
        plan = decide.plan(service, self._watched.of(service), self._slices_of.get(which), self._zones)
        try:
            await self._perform(which, plan)
        except StatusError as error:
            if is_terminating(error):
                return None
            message = f"Error updating Endpoint Slices for Service {which[0]}/{which[1]}: {error.message}"
            self._events.event(service, "Warning", "FailedToUpdateEndpointSlices", message)
            raise
        return None

    async def _perform(self, which: Key, plan: decide.Plan) -> None:
        client = self._context.client
        self._expectations.expect(
            which, time.monotonic(), creations=len(plan.create), deletions=[uid(item) for item in plan.delete]
        )
        left = len(plan.create)
        try:
            for item in plan.create:
                await client.create(ENDPOINTSLICES, item, which[0])
                left -= 1
        finally:
            self._expectations.created(which, left)
        for item in plan.update:
            done = await client.update(ENDPOINTSLICES, item)
            self._written[uid(done)] = done["metadata"]["resourceVersion"]
        for item in plan.delete:
            await self._delete(which, item)

    async def _delete(self, which: Key, item: Object) -> None:
        try:
            await self._context.client.delete(ENDPOINTSLICES, name(item), namespace(item), uid=uid(item))
        except NotFound:
            self._expectations.deleted(which, uid(item))
