"""The cluster DNS' view of the cluster: informers that feed `ClusterZones`; the last word of the watch stands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from panal.client import Client, Object
from panal.informer import Applied, Deleted, Delta, Informer
from panal.resources import ENDPOINTSLICES, NAMESPACES, SERVICES

from .zones import ClusterZones

_log = logging.getLogger(__name__)


def slim(obj: Object) -> Object:
    """The object without managedFields, which nobody here reads and which are half of it."""
    obj["metadata"].pop("managedFields", None)
    return obj


def _name_only(obj: Object) -> Object:
    metadata = obj["metadata"]
    return {"metadata": {name: metadata[name] for name in ("name", "uid", "resourceVersion") if name in metadata}}


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


class ClusterWatch:
    """Keeps `zones` as the API server has it and calls `changed` after every change of an answer."""

    def __init__(self, client: Client, zones: ClusterZones, changed: Callable[[], None]) -> None:
        self._zones = zones
        self._changed = changed
        self._services = Informer(client, SERVICES, transform=slim)
        self._slices = Informer(client, ENDPOINTSLICES, transform=slim)
        self._namespaces = Informer(client, NAMESPACES, transform=_name_only)
        self._services.subscribe(self._service)
        self._slices.subscribe(self._slice)
        self._namespaces.subscribe(self._namespace)
        self.synced = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._services.run(), name="watch services")
            group.create_task(self._slices.run(), name="watch endpointslices")
            group.create_task(self._namespaces.run(), name="watch namespaces")
            group.create_task(self._wait(), name="wait for the first lists")

    async def _wait(self) -> None:
        await self._services.synced()
        await self._slices.synced()
        await self._namespaces.synced()
        self.synced.set()
        _log.info("serving what the API server says")

    def replace(self, zones: ClusterZones) -> None:
        """Feed these from now on, beginning with all that is known."""
        self._zones = zones
        for namespace in self._namespaces.all():
            zones.namespace(namespace["metadata"]["name"], True)
        for endpoint_slice in self._slices.all():
            zones.endpoint_slice(_key(endpoint_slice), endpoint_slice)
        for service in self._services.all():
            zones.service(_key(service), service)
        self._changed()

    def _namespace(self, delta: Delta) -> None:
        name = (delta.new if isinstance(delta, Applied) else delta.old)["metadata"]["name"]
        if delta.old is None or isinstance(delta, Deleted):
            self._zones.namespace(name, isinstance(delta, Applied))
            self._changed()

    def _service(self, delta: Delta) -> None:
        obj = delta.new if isinstance(delta, Applied) else delta.old
        key = _key(obj)
        if self._zones.service(key, delta.new if isinstance(delta, Applied) else None):
            self._changed()

    def _slice(self, delta: Delta) -> None:
        obj = delta.new if isinstance(delta, Applied) else delta.old
        key = _key(obj)
        new = None if isinstance(delta, Deleted) else delta.new
        if self._zones.endpoint_slice(key, new, delta.old):
            self._changed()
