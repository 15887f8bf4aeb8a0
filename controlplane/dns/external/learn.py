"""The company DNS' view of the cluster: what its objects ask for, watched from outside with a kubeconfig of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from panal.client import Client
from panal.customkinds import DNS_ENDPOINTS, ROUTES, CustomKinds
from panal.informer import Applied, Delta, Informer, key_of
from panal.resources import INGRESSES, SERVICES

from ..cluster import slim
from .endpoints import SOURCES, Endpoint
from .hosts import CompanyZones

_log = logging.getLogger(__name__)
_KINDS = {"ingress": INGRESSES, "service": SERVICES, "openshift-route": ROUTES, "crd": DNS_ENDPOINTS}


class Learner:
    """Keeps `zones` up to date with what the API server has and calls `changed` after every change of an answer."""

    def __init__(
        self,
        client: Client,
        zones: CompanyZones,
        changed: Callable[[], None],
        *,
        owner: str = "",
        upsert_only: bool = False,
    ) -> None:
        """`owner` is told in TXT records, as ExternalDNS does; `upsert_only`: a name once learned stays."""
        self._zones = zones
        self._changed = changed
        self._owner = owner
        self._upsert_only = upsert_only
        self._learned: dict[tuple[str, ...], dict[tuple[str, str], Endpoint]] = {}
        """With `upsert_only`: everything that each object has ever asked for."""
        self._informers = {source: Informer(client, kind, transform=slim) for source, kind in _KINDS.items()}
        self._custom = CustomKinds(client, [self._informers["openshift-route"], self._informers["crd"]])
        for source, informer in self._informers.items():
            informer.subscribe(lambda delta, source=source: self._learn(source, delta))  # type: ignore[misc]

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for source in ("ingress", "service"):
                group.create_task(self._informers[source].run(), name=f"watch {source}")
            group.create_task(self._custom.run(), name="watch custom kinds")

    def _learn(self, source: str, delta: Delta) -> None:
        obj = delta.new if isinstance(delta, Applied) else delta.old
        endpoints = SOURCES[source](delta.new) if isinstance(delta, Applied) else []
        if self._upsert_only:
            known = self._learned.setdefault((source, *key_of(obj)), {})
            known.update({(item.name, item.type): item for item in endpoints})
            endpoints = list(known.values())
        if self._zones.put_endpoints((source, *key_of(obj)), endpoints, self._owner):
            said = ", ".join(f"{item.name} -> {' '.join(item.targets)}" for item in endpoints)
            _log.info("%s %s/%s: %s", source, *key_of(obj), said or "no names")
            self._changed()
