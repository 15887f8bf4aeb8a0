"""The cluster DNS' view of the cluster: two informers that feed `ClusterZones`; the last word of the watch stands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from panal.client import Client, Object
from panal.informer import Applied, Deleted, Delta, Informer
from panal.resources import ENDPOINTSLICES, SERVICES

from .zones import ClusterZones

_log = logging.getLogger(__name__)


def slim(obj: Object) -> Object:
    """The object without managedFields, which nobody here reads and which are half of it."""
    obj["metadata"].pop("managedFields", None)
    return obj


class ClusterWatch:
    """Keeps `zones` as the API server has it and calls `changed` after every change of an answer."""

    def __init__(self, client: Client, zones: ClusterZones, changed: Callable[[], None]) -> None:
        self._zones = zones
        self._changed = changed
        self._services = Informer(client, SERVICES, transform=slim)
        self._slices = Informer(client, ENDPOINTSLICES, transform=slim)
        self._services.subscribe(self._service)
        self._slices.subscribe(self._slice)
        self.synced = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._services.run(), name="watch services")
            group.create_task(self._slices.run(), name="watch endpointslices")
            group.create_task(self._wait(), name="wait for the first lists")

    async def _wait(self) -> None:
        await self._services.synced()
        await self._slices.synced()
        self.synced.set()
        _log.info("serving what the API server says")

    def _service(self, delta: Delta) -> None:
        obj = delta.new if isinstance(delta, Applied) else delta.old
        key = obj["metadata"]["namespace"], obj["metadata"]["name"]
        if self._zones.service(key, delta.new if isinstance(delta, Applied) else None):
            self._changed()

    def _slice(self, delta: Delta) -> None:
        obj = delta.new if isinstance(delta, Applied) else delta.old
        key = obj["metadata"]["namespace"], obj["metadata"]["name"]
        new = None if isinstance(delta, Deleted) else delta.new
        if self._zones.endpoint_slice(key, new, delta.old):
            self._changed()
