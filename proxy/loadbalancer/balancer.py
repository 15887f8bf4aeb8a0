"""The external load balancer: a host of the LAN that spreads connections over the nodes' NodePorts.

It gives Services of type LoadBalancer an address of its pool, takes that address on, and says so in their status. The
whole state is computed anew from Services, Nodes and health whenever one of them changes, and applied where it
differs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from panal.client import Client, Unreachable
from panal.customkinds import IP_ADDRESS_POOLS, L2_ADVERTISEMENTS, CustomKinds
from panal.errors import NotFound, StatusError
from panal.events import Recorder
from panal.informer import Delta, Informer, all_synced
from panal.resources import NODES, SERVICES

from ..forward.engine import Engine
from ..forward.records import Frontend
from ..services.addresses import LocalAddresses
from .allocate import FROM_POOL, Assignment, Key, assign, ingress_addresses, is_ours
from .checker import Checker
from .plan import forwards, node_addresses
from .pools import AddressPool, Pool, pools_of

_log = logging.getLogger(__name__)

COMPONENT, SPEAKER = "metallb-controller", "metallb-speaker"
"""The sources of the events, as MetalLB's are called."""
_RETRY = 1.0
"""Seconds until what failed (an address, a port, a write) is tried again."""

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Settings:
    address: str
    pool: Pool
    """Where addresses come from while there is no IPAddressPool."""
    frontends: Mapping[int, int] = field(default_factory=dict)
    """Port of `address` -> NodePort."""
    edge: str = ""
    """The name of the sockets that were handed to the engine; "" for none."""
    reserved: frozenset[str] = frozenset()
    """The addresses of the LAN's hosts: no pool gives them away."""
    name: str = "lb"
    localize: Callable[[str], str] = str
    """An address as it is in this network."""


class LoadBalancer:
    """Runs until cancelled; `engine` is started, `addresses` is None where every address is local already."""

    def __init__(
        self,
        client: Client,
        settings: Settings,
        engine: Engine,
        addresses: LocalAddresses | None,
        real_port: Callable[[int], int],
    ) -> None:
        self._client, self._settings = client, settings
        self._engine, self._addresses, self._real_port = engine, addresses, real_port
        self._services = Informer(client, SERVICES)
        self._nodes = Informer(client, NODES)
        self._pool_objects = Informer(client, IP_ADDRESS_POOLS)
        self._adverts = Informer(client, L2_ADVERTISEMENTS)
        self._kinds = CustomKinds(client, (self._pool_objects, self._adverts))
        self._changed = asyncio.Event()
        self.checker = Checker(self._changed.set)
        self._events = Recorder(client, COMPONENT)
        self._speaker = Recorder(client, SPEAKER)
        self._pools: list[AddressPool] = []
        self._wrong: Mapping[Key, str] = {}
        self._announced: dict[Key, str] = {}
        self._assignment = Assignment({}, {})
        self._refused: dict[Frontend, str] = {}

    async def run(self) -> None:
        for informer in (self._services, self._nodes, self._pool_objects, self._adverts):
            informer.subscribe(self._note)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._services.run(), name="informer-services")
                group.create_task(self._nodes.run(), name="informer-nodes")
                group.create_task(self._kinds.run(), name="custom kinds")
                group.create_task(self.checker.run(), name="health-checks")
                group.create_task(self._follow(), name="sync")
        finally:
            await self._events.close()
            await self._speaker.close()

    def state(self) -> dict[str, Any]:
        """For the status socket."""
        return {
            "address": self._settings.address,
            "frontends": {str(port): node_port for port, node_port in self._settings.frontends.items()},
            "services": {"/".join(key): address for key, address in self._assignment.addresses.items()},
            "targets": [{"address": f"{ip}:{port}", "up": up} for (ip, port), up in self.checker.states().items()],
        }

    def _note(self, _: Delta) -> None:
        self._changed.set()

    async def _follow(self) -> None:
        await all_synced(self._services, self._nodes)
        await self._kinds.settled()
        while True:
            self._changed.clear()
            satisfied = await self._sync()
            try:
                async with asyncio.timeout(None if satisfied else _RETRY):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _sync(self) -> bool:
        """Make everything as it should be; False when something must be tried again."""
        ours = {_key(service): service for service in self._services.all() if is_ours(service)}
        self._read_pools()
        self._complain(assignment := assign(ours.values(), self._pools, self._settings.localize), ours)
        self._assignment = assignment
        satisfied = self._take_addresses(assignment)
        satisfied &= await self._forward(assignment, ours)
        for service in list(self._services.all()):
            satisfied &= await self._write_status(service, assignment)
        self._announce(assignment, ours)
        for pool in self._pools:
            satisfied &= await self._write_pool(pool, assignment)
        return satisfied

    def _read_pools(self) -> None:
        settings = self._settings
        self._pools, wrong = pools_of(
            self._pool_objects.all(), self._adverts.all(), settings.pool, settings.reserved, settings.localize
        )
        for key, why in wrong.items():
            if self._wrong.get(key) != why and (pool := self._pool_objects.get(*key)) is not None:
                _log.error("IPAddressPool %s/%s: %s", *key, why)
                self._events.event(pool, "Warning", "InvalidConfig", f"the pool is not used: {why}")
        self._wrong = wrong

    def _complain(self, assignment: Assignment, ours: Mapping[Key, Object]) -> None:
        """Say once why a Service gets no address."""
        for key, problem in assignment.problems.items():
            if self._assignment.problems.get(key) != problem:
                message = f'Failed to allocate IP for "{"/".join(key)}": {problem}'
                self._events.event(ours[key], "Warning", "AllocationFailed", message)

    def _announce(self, assignment: Assignment, ours: Mapping[Key, Object]) -> None:
        """Say once that an address is this host's now."""
        now = {key: address for key, address in assignment.addresses.items() if assignment.pools[key].announced}
        for key, address in now.items():
            if self._announced.get(key) != address and address in ingress_addresses(ours[key]):
                message = f'announcing from node "{self._settings.name}" with protocol "layer2"'
                self._speaker.event(ours[key], "Normal", "nodeAssigned", message)
                self._announced[key] = address
        self._announced = {key: address for key, address in self._announced.items() if now.get(key) == address}

    def _take_addresses(self, assignment: Assignment) -> bool:
        if self._addresses is None:
            return True
        try:
            announced = {address for key, address in assignment.addresses.items() if assignment.pools[key].announced}
            self._addresses.set(announced)
        except OSError as error:
            _log.error("the addresses of Services can't be taken on: %s", error.strerror)
            return False
        return True

    async def _forward(self, assignment: Assignment, ours: Mapping[Key, Object]) -> bool:
        settings, nodes = self._settings, node_addresses(self._nodes.all())
        every = list(self._nodes.all())
        services = [
            (address, ours[key], node_addresses(every, assignment.pools[key].nodes))
            for key, address in assignment.addresses.items()
            if assignment.pools[key].announced
        ]
        self.checker.set_targets((node, port) for node in nodes for port in self._node_ports(ours.values()))
        table = forwards(
            settings.address, settings.frontends, services, nodes, self.checker.is_up, self._real_port, settings.edge
        )
        refused = {frontend: str(error.strerror) for frontend, error in (await self._engine.apply(table)).items()}
        for frontend, why in refused.items():
            if self._refused.get(frontend) != why:
                _log.error("can't listen on %s: %s", frontend, why)
        self._refused = refused
        return not refused

    def _node_ports(self, services: Any) -> set[int]:
        ports = {
            int(port["nodePort"])
            for service in services
            for port in service["spec"].get("ports") or ()
            if port.get("nodePort") and (port.get("protocol") or "TCP") == "TCP"
        }
        return ports | set(self._settings.frontends.values())

    async def _write_status(self, service: Object, assignment: Assignment) -> bool:
        """The Service's status.loadBalancer and the pool in its annotation, where they differ from the plan."""
        key = _key(service)
        address, pool = assignment.addresses.get(key), assignment.pools.get(key)
        have = ingress_addresses(service)
        if not (is_ours(service) or self._left_behind(service)):
            return True
        written = True
        if have != ([address] if address else []):
            ingress = [{"ip": address, "ipMode": "VIP"}] if address else None
            written = await self._patch(key, {"status": {"loadBalancer": {"ingress": ingress}}}, "status")
            if written and address:
                self._events.event(service, "Normal", "IPAllocated", f'Assigned IP ["{address}"]')
        said = (service["metadata"].get("annotations") or {}).get(FROM_POOL)
        wanted = pool.name if pool is not None and pool.key is not None else None
        if said != wanted:
            written &= await self._patch(key, {"metadata": {"annotations": {FROM_POOL: wanted}}}, None)
        return written

    async def _patch(self, key: Key, patch: Mapping[str, Any], subresource: str | None) -> bool:
        namespace, name = key
        try:
            await self._client.patch(SERVICES, name, patch, namespace, subresource=subresource)
        except NotFound:
            return True
        except (Unreachable, StatusError) as error:
            _log.warning("Service %s/%s: %s", namespace, name, error)
            return False
        return True

    async def _write_pool(self, pool: AddressPool, assignment: Assignment) -> bool:
        """How much of an IPAddressPool is given away."""
        found = self._pool_objects.get(*pool.key) if pool.key is not None else None
        if found is None or pool.key is None:
            return True
        used = assignment.in_use(pool)
        status = {"assignedIPv4": used, "assignedIPv6": 0, "availableIPv4": pool.size() - used, "availableIPv6": 0}
        if found.get("status") == status:
            return True
        try:
            await self._client.patch(IP_ADDRESS_POOLS, pool.name, {"status": status}, pool.key[0], subresource="status")
        except NotFound:
            return True
        except (Unreachable, StatusError) as error:
            _log.warning("IPAddressPool %s: %s", pool.name, error)
            return False
        return True

    def _left_behind(self, service: Object) -> bool:
        """A Service that is of another type now, and still shows an address of ours."""
        have = ingress_addresses(service)
        mine = any(have[0] in pool for pool in self._pools) if have else False
        return service["spec"].get("type") != "LoadBalancer" and mine


def _key(service: Object) -> Key:
    return service["metadata"]["namespace"], service["metadata"]["name"]
