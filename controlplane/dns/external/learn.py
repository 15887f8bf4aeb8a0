"""The company DNS' view of the cluster: Ingresses and Services, watched from outside with a kubeconfig of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from panal.client import Client
from panal.informer import Applied, Delta, Informer, key_of
from panal.resources import INGRESSES, SERVICES

from ..cluster import slim
from .hosts import CompanyZones, Names, Object, names_of_ingress, names_of_service

_log = logging.getLogger(__name__)


class Learner:
    """Keeps `zones` up to date with what the API server has and calls `changed` after every change of an answer."""

    def __init__(self, client: Client, zones: CompanyZones, changed: Callable[[], None]) -> None:
        self._zones = zones
        self._changed = changed
        self._informers = tuple(Informer(client, kind, transform=slim) for kind in (INGRESSES, SERVICES))
        self._informers[0].subscribe(lambda delta: self._learn("Ingress", names_of_ingress, delta))
        self._informers[1].subscribe(lambda delta: self._learn("Service", names_of_service, delta))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(informer.run(), name=f"watch {informer.resource.plural}")

    def _learn(self, kind: str, names_of: Callable[[Object], Names], delta: Delta) -> None:
        obj = delta.new if isinstance(delta, Applied) else delta.old
        names = names_of(delta.new) if isinstance(delta, Applied) else {}
        if self._zones.put((kind, *key_of(obj)), names):
            said = ", ".join(f"{host} -> {' '.join(targets)}" for host, targets in names.items())
            _log.info("%s %s/%s: %s", kind, *key_of(obj), said or "no names")
            self._changed()
