"""Follows the cluster and keeps a server's zones as it says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from panal.client import Client
from panal.customkinds import DNS_ENDPOINTS, ROUTES, CustomKinds
from panal.informer import Delta, Informer
from panal.resources import INGRESSES, SERVICES

from ..cluster import slim
from ..external.endpoints import SOURCES, Endpoint
from .changes import Changes, Current, Policy, changes
from .rfc2136 import Refused

SETTLE = 0.1
"""Seconds in which further changes join one update."""
RETRY = 5.0

_KINDS = {"ingress": INGRESSES, "service": SERVICES, "openshift-route": ROUTES, "crd": DNS_ENDPOINTS}
_log = logging.getLogger(__name__)


class Zone(Protocol):
    async def read(self) -> Current:
        """Raises Refused."""

    async def write(self, changes: Changes) -> None:
        """Raises Refused."""


@dataclass(frozen=True)
class Rules:
    """What is written, and how it is marked."""

    owner: str
    policy: Policy = "upsert-only"
    ttl: int = 300
    prefix: str = ""
    interval: float = 60.0
    """Seconds until the zone is compared again although nothing has changed here."""


class Publisher:
    """`zones` by name; an Endpoint goes to the one with the longest name that is its end."""

    def __init__(self, client: Client, sources: Sequence[str], zones: Mapping[str, Zone], rules: Rules) -> None:
        self._zones, self._rules = zones, rules
        self._informers = {source: Informer(client, _KINDS[source], transform=slim) for source in sources}
        custom = [self._informers[source] for source in ("openshift-route", "crd") if source in self._informers]
        self._custom = CustomKinds(client, custom) if custom else None
        self._changed = asyncio.Event()
        self._conflicts: frozenset[str] = frozenset()
        self.synced = asyncio.Event()

    async def run(self) -> None:
        always = [informer for source, informer in self._informers.items() if source in ("ingress", "service")]
        for informer in self._informers.values():
            informer.subscribe(self._note)
        async with asyncio.TaskGroup() as group:
            for informer in always:
                group.create_task(informer.run(), name=f"watch {informer.resource.plural}")
            if self._custom is not None:
                group.create_task(self._custom.run(), name="watch custom kinds")
                await self._custom.settled()
            for informer in always:
                await informer.synced()
            group.create_task(self._follow(), name="publish")

    def _note(self, _: Delta) -> None:
        self._changed.set()

    def desired(self) -> list[Endpoint]:
        return [
            endpoint
            for source, informer in self._informers.items()
            for obj in informer.all()
            for endpoint in SOURCES[source](obj)
        ]

    async def _follow(self) -> None:
        while True:
            self._changed.clear()
            satisfied = True
            by_zone = _by_zone(self.desired(), self._zones)
            for name, zone in self._zones.items():
                satisfied &= await self._sync(name, zone, by_zone[name])
            if satisfied:
                self.synced.set()
            try:
                async with asyncio.timeout(self._rules.interval if satisfied else RETRY):
                    await self._changed.wait()
                await asyncio.sleep(SETTLE)
            except TimeoutError:
                continue

    async def _sync(self, name: str, zone: Zone, desired: Iterable[Endpoint]) -> bool:
        rules = self._rules
        try:
            current = await zone.read()
            found = changes(
                desired, current, owner=rules.owner, policy=rules.policy, ttl=rules.ttl, prefix=rules.prefix
            )
            self._complain(found)
            if found:
                await zone.write(found)
        except Refused as error:
            _log.error("%s", error)
            return False
        for word, items in (("gone", found.delete), ("written", found.put)):
            for item in items:
                _log.info("%s: %s %s %s %s", name, word, item.name, item.type, " ".join(item.targets))
        return True

    def _complain(self, found: Changes) -> None:
        now = frozenset(found.conflicts)
        for conflict in sorted(now - self._conflicts):
            _log.warning("%s", conflict)
        self._conflicts = now


def _by_zone(endpoints: Iterable[Endpoint], zones: Mapping[str, object]) -> dict[str, list[Endpoint]]:
    found: dict[str, list[Endpoint]] = {name: [] for name in zones}
    names = sorted(zones, key=len, reverse=True)
    for endpoint in endpoints:
        home = next((name for name in names if endpoint.name == name or endpoint.name.endswith("." + name)), None)
        if home is not None:
            found[home].append(endpoint)
    return found
