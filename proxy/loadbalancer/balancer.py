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
from panal.errors import NotFound, StatusError
from panal.events import Recorder
from panal.informer import Delta, Informer, all_synced
from panal.resources import NODES, SERVICES

from ..forward.engine import Engine
from ..forward.records import Frontend
from ..services.addresses import LocalAddresses
from .checker import Checker
from .plan import Assignment, Key, Pool, assign, forwards, ingress_addresses, is_ours, node_addresses

_log = logging.getLogger(__name__)

COMPONENT = "service-controller"
"""The source of the events, as in Kubernetes."""
_RETRY = 1.0
"""Seconds until what failed (an address, a port, a write) is tried again."""

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Settings:
    address: str
    pool: Pool
    frontends: Mapping[int, int] = field(default_factory=dict)
    """Port of `address` -> NodePort."""
    edge: str = ""
    """The name of the sockets that were handed to the engine; "" for none."""


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
        self._changed = asyncio.Event()
        self.checker = Checker(self._changed.set)
        self._events = Recorder(client, COMPONENT)
        self._assignment = Assignment({}, {})
        self._refused: dict[Frontend, str] = {}

    async def run(self) -> None:
        self._services.subscribe(self._note)
        self._nodes.subscribe(self._note)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._services.run(), name="informer-services")
                group.create_task(self._nodes.run(), name="informer-nodes")
                group.create_task(self.checker.run(), name="health-checks")
                group.create_task(self._follow(), name="sync")
        finally:
            await self._events.close()

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
        self._complain(assignment := assign(ours.values(), self._settings.pool), ours)
        self._assignment = assignment
        satisfied = self._take_addresses(assignment)
        satisfied &= await self._forward(assignment, ours)
        for service in list(self._services.all()):
            satisfied &= await self._write_status(service, assignment)
        return satisfied

    def _complain(self, assignment: Assignment, ours: Mapping[Key, Object]) -> None:
        """Say once why a Service gets no address."""
        for key, problem in assignment.problems.items():
            if self._assignment.problems.get(key) != problem:
                message = f"Error syncing load balancer: failed to ensure load balancer: {problem}"
                self._events.event(ours[key], "Warning", "SyncLoadBalancerFailed", message)

    def _take_addresses(self, assignment: Assignment) -> bool:
        if self._addresses is None:
            return True
        try:
            self._addresses.set(assignment.addresses.values())
        except OSError as error:
            _log.error("the addresses of Services can't be taken on: %s", error.strerror)
            return False
        return True

    async def _forward(self, assignment: Assignment, ours: Mapping[Key, Object]) -> bool:
        settings, nodes = self._settings, node_addresses(self._nodes.all())
        services = [(address, ours[key]) for key, address in assignment.addresses.items()]
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
        """The Service's status.loadBalancer, where it differs from the plan."""
        key = _key(service)
        address = assignment.addresses.get(key)
        have = ingress_addresses(service)
        if have == ([address] if address else []) or not (is_ours(service) or self._left_behind(service)):
            return True
        ingress = [{"ip": address, "ipMode": "VIP"}] if address else None
        if address:
            self._events.event(service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer")
        namespace, name = key
        patch = {"status": {"loadBalancer": {"ingress": ingress}}}
        try:
            await self._client.patch(SERVICES, name, patch, namespace, subresource="status")
        except NotFound:
            return True
        except (Unreachable, StatusError) as error:
            _log.warning("status of Service %s/%s: %s", namespace, name, error)
            return False
        reason, message = ("EnsuredLoadBalancer", "Ensured load balancer")
        if not address:
            reason, message = ("DeletedLoadBalancer", "Deleted load balancer")
        self._events.event(service, "Normal", reason, message)
        return True

    def _left_behind(self, service: Object) -> bool:
        """A Service that is of another type now, and still shows an address of ours."""
        have = ingress_addresses(service)
        return service["spec"].get("type") != "LoadBalancer" and bool(have) and have[0] in self._settings.pool


def _key(service: Object) -> Key:
    return service["metadata"]["namespace"], service["metadata"]["name"]
