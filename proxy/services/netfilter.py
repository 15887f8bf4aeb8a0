"""The kernel moves the traffic: tables become nft transactions in the node's own network namespace.

What is in force stays in force when this process dies; its next self replaces it in one transaction, and established
connections, being conntrack's, notice nothing.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from panal.linux import trim_memory
from panal.tasks import spawn

from ..forward.balance import Target
from ..forward.records import written
from .addresses import ServiceRoutes
from .conntrack import cut, may_be_stale, translation
from .dataplane import DataplaneError
from .nft import Nft, TooLong
from .table import PortName, ServicePort, ServiceTable, between, changes, growing
from .transaction import Ruleset

_log = logging.getLogger(__name__)
_PORTS_AT_ONCE = 100
"""Service ports a transaction changes at most, where the kernel takes no longer one."""


_MANY = 1000
"""Changed service ports from which on the memory that nft used for them is worth giving back."""


class Netfilter:
    """The `netfilter` dataplane."""

    mode = "netfilter"

    def __init__(self, nft: Nft, cluster_cidr: str = "", node_ip: str = "") -> None:
        self._nft = nft
        self._ruleset = Ruleset(cluster_cidr)
        self._applied: ServiceTable | None = None
        self._node_ip = node_ip
        self._routes: ServiceRoutes | None = None
        self._latest = ServiceTable("")
        self._stale_names: set[PortName] = set()
        """Service ports whose flows are to be looked through."""
        self._former: list[ServicePort] = []
        """What they were, and those that are gone."""
        self._cutting: asyncio.Task[None] | None = None
        self._changed = 0
        """Service ports since memory was given back."""

    async def apply(self, table: ServiceTable) -> None:
        before, self._applied = self._applied, None
        if before is None or _other_addresses(before, table):
            self._set_routes(table)
        if before is None:
            await self._replace(table)
        else:
            await self._update(before, table)
        self._applied = self._latest = table
        self._cut_flows(before or ServiceTable(table.node), table)

    async def flow(self, client: Target, destination: Target, protocol: str = "TCP") -> dict[str, Any] | None:
        """What conntrack remembers of it."""
        try:
            found = translation(client, destination, protocol)
        except OSError as error:
            raise DataplaneError(f"conntrack: {error.strerror}") from error
        if found is None:
            return None
        return {"source": written(found.source), "target": written(found.target), "state": "translated"}

    async def close(self) -> None:
        """The rules stay, and do their work."""

    async def _update(self, before: ServiceTable, table: ServiceTable) -> None:
        """In one transaction; where that is too long, in parts, so that what is there already stays in force."""
        try:
            try:
                await self._run(table)
            except TooLong:
                self._ruleset.replace(before)  # nothing was done: so it is still
                for step in between(before, table, _PORTS_AT_ONCE):
                    await self._run(step)
                trim_memory()
        except DataplaneError as error:
            _log.warning("rules are not as they were left, replacing all: %s", error)
            await self._replace(table)

    async def _run(self, table: ServiceTable) -> None:
        if transaction := self._ruleset.update(table):
            await self._nft.run(transaction)

    async def _replace(self, table: ServiceTable) -> None:
        """In one transaction; where that is too long, the first Services at once and the others right after.

        What thousands of Services leave behind in the allocator is twice what stays in use.
        """
        try:
            await self._nft.run(self._ruleset.replace(table))
        except TooLong:
            first, *others = growing(table, _PORTS_AT_ONCE)
            await self._nft.run(self._ruleset.replace(first))
            for step in others:
                await self._nft.run(self._ruleset.update(step))
            trim_memory()

    def _set_routes(self, table: ServiceTable) -> None:
        source = self._node_ip or next(iter(table.node_ips), "")
        if not source:
            return
        try:
            self._routes = self._routes or ServiceRoutes(source)
            self._routes.set(ip for port in table for ip in (*port.cluster_ips, *port.external_ips))
        except OSError as error:
            raise DataplaneError(f"routes to Services: {error.strerror}") from error

    def _cut_flows(self, before: ServiceTable, after: ServiceTable) -> None:
        """Begin to; the rules are in force already, and looking through all flows takes the kernel its time."""
        difference = changes(before, after)
        self._changed += len(difference.applied) + len(difference.removed)
        for port in difference.applied:
            former = before.ports.get(port.name)
            if former is None or may_be_stale(former, port):
                self._stale_names.add(port.name)
                self._former += [former] if former is not None else []
        self._former += difference.removed
        if (self._stale_names or self._former) and self._cutting is None:
            self._cutting = spawn(self._cut(), name="cut flows")

    async def _cut(self) -> None:
        """Until nothing is left to look for: what changes meanwhile is looked for together next."""
        try:
            while self._stale_names or self._former:
                names, removed = self._stale_names, self._former
                self._stale_names, self._former = set(), []
                present = self._latest.ports
                ports = [present[name] for name in names if name in present]
                if number := await asyncio.to_thread(cut, ports, removed):
                    _log.info("cut %d flows to endpoints that left", number)
            if self._changed > _MANY:
                self._changed = 0
                await asyncio.to_thread(trim_memory)
        except OSError as error:
            _log.warning("flows to endpoints that left can't be cut: %s", error.strerror)
        finally:
            self._cutting = None

    async def settled(self) -> None:
        """Return when no flow is left to be cut."""
        while self._cutting is not None:
            await asyncio.wait([self._cutting])


def _other_addresses(before: ServiceTable, after: ServiceTable) -> bool:
    """Whether the step changes for which addresses a node needs a route: with thousands, most steps don't."""
    difference = changes(before, after)
    if difference.removed:
        return True
    pairs = ((before.ports.get(port.name), port) for port in difference.applied)
    return any(was is None or _addresses(was) != _addresses(port) for was, port in pairs)


def _addresses(port: ServicePort) -> tuple[str, ...]:
    return (*port.cluster_ips, *port.external_ips)
