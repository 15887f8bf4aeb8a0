"""Keeps EndpointSlices true: reads Services and pods from informers, asks `decide`, writes."""

from __future__ import annotations

from panal.controllers import Controller
from panal.errors import StatusError
from panal.informer import Applied, Deleted, Delta
from panal.resources import NODES

from ..context import Context
from ..meta import Key, is_deleting, labels, name
from ..podcontrol import is_terminating
from ..selection import ServicePods, is_selecting
from ..slices import Slices
from . import decide

ZONE = "topology.kubernetes.io/zone"


class EndpointSlices:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._events = context.recorder("endpoint-slice-controller")
        self._controller: Controller[Key] = Controller("endpointslice", self.reconcile, workers=8)
        self._nodes = context.informers.of(NODES)
        self._zones: dict[str, str] = {}
        """Of the nodes that have one."""
        self._nodes.subscribe(self._on_node)
        self._watched = ServicePods(context, self._controller.queue.add)
        self._slices = Slices(context, decide.MANAGER, self._controller.queue.add)

    async def run(self) -> None:
        await self._context.ready(self._watched.services, self._watched.pods, self._slices.informer, self._nodes)
        await self._controller.run()

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
            self._slices.forget(which)
            if service is not None:
                return None
            for item in self._slices.of(which):
                await self._slices.delete(which, item)
            return None
        if not self._slices.satisfied(which):
            return None
        plan = decide.plan(service, self._watched.of(service), self._slices.of(which), self._zones)
        try:
            await self._slices.perform(which, plan)
        except StatusError as error:
            if is_terminating(error):
                return None
            message = f"Error updating Endpoint Slices for Service {which[0]}/{which[1]}: {error.message}"
            self._events.event(service, "Warning", "FailedToUpdateEndpointSlices", message)
            raise
        return None
