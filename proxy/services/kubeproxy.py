"""kube-proxy: watches Services, EndpointSlices and its own Node, and keeps the dataplane true to them.

A change is applied at once; what arrives meanwhile is applied together next. Nothing is touched before everything has
been listed once, so a restart never takes away what is still wanted.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from panal.client import Client
from panal.informer import Applied, Delta, Informer, all_synced
from panal.resources import ENDPOINTSLICES, NODES, SERVICES

from . import slim
from .dataplane import Dataplane, DataplaneError
from .health import HealthServer, ServiceHealth
from .show import Show
from .table import PROTOCOLS, ServiceTable, TableBuilder
from .tablesocket import serving

_log = logging.getLogger(__name__)

_NOT_OURS = "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless"
"""kube-proxy's own label selector."""
TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"
_RETRY = (0.1, 30.0)
"""Seconds until a table that could not be applied is tried again: the first time, and at most."""


class KubeProxy:
    """One node's kube-proxy. `run` until cancelled."""

    def __init__(
        self,
        client: Client,
        dataplane: Dataplane,
        node: str,
        *,
        node_ip: str = "",
        table_socket: Path | None = None,
        healthz: tuple[str, int] | None = None,
        check_address: str = "0.0.0.0",
        cluster_cidr: str = "",
    ) -> None:
        self._dataplane = dataplane
        self._node_ips = (node_ip,) if node_ip else ()
        self._builder = TableBuilder(node, self._node_ips)
        self._services = Informer(client, SERVICES, label_selector=_NOT_OURS, transform=slim.service)
        self._slices = Informer(client, ENDPOINTSLICES, label_selector=_NOT_OURS, transform=slim.endpoint_slice)
        self._node = Informer(client, NODES, field_selector=f"metadata.name={node}", transform=_without_managed_fields)
        self._changed = asyncio.Event()
        self._show = Show(ServiceTable(node, self._node_ips), dataplane.mode, cluster_cidr, dataplane.flow)
        self._applied_at = 0.0
        self._pending_since: float | None = time.time()
        self._eligible = True
        self._table_socket, self._healthz = table_socket, healthz
        self._checks = ServiceHealth(check_address)

    async def run(self) -> None:
        self._services.subscribe(self._on_service)
        self._slices.subscribe(self._on_slice)
        self._node.subscribe(self._on_node)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._dataplane.close)
            stack.callback(self._checks.close)
            await self._show_table(stack)
            await self._serve_health(stack)
            async with asyncio.TaskGroup() as group:
                for informer in (self._services, self._slices, self._node):
                    group.create_task(informer.run(), name=f"informer-{informer.resource.plural}")
                group.create_task(self._follow(), name="sync")

    async def _follow(self) -> None:
        await all_synced(self._services, self._slices, self._node)
        delay = _RETRY[0]
        applied: ServiceTable | None = None
        while True:
            self._changed.clear()
            table = self._builder.table()
            try:
                if table is not applied:
                    await self._apply(table)
                    applied, delay = table, _RETRY[0]
            except DataplaneError as error:
                _log.error("the table can't be applied, trying again in %.1f s: %s", delay, error)
                await self._wait(delay)
                delay = min(delay * 2, _RETRY[1])
                continue
            if not self._changed.is_set():
                self._pending_since = None
            await self._changed.wait()

    async def _apply(self, table: ServiceTable) -> None:
        started = time.perf_counter()
        await self._dataplane.apply(table)
        await self._checks.apply(table)
        first = not self._applied_at
        took = time.perf_counter() - started
        self._applied_at = time.time()
        self._show.applied(table, self._applied_at, took)
        level = logging.INFO if first else logging.DEBUG
        _log.log(level, "%d service ports applied in %.1f ms", len(table.ports), 1e3 * took)

    async def _wait(self, seconds: float) -> None:
        """Until something changes, but no longer than this."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    def _on_service(self, delta: Delta) -> None:
        if isinstance(delta, Applied):
            _say_what_is_not_forwarded(delta)
            self._builder.apply_service(delta.new)
        else:
            self._builder.delete_service(delta.old)
        self._note()

    def _on_slice(self, delta: Delta) -> None:
        if delta.old is not None:
            self._builder.delete_slice(delta.old)
        if isinstance(delta, Applied):
            self._builder.apply_slice(delta.new)
        self._note()

    def _on_node(self, delta: Delta) -> None:
        if isinstance(delta, Applied):
            self._builder.set_node_ips(_internal_ips(delta.new) or self._node_ips)
            self._eligible = _is_eligible(delta.new)
            self._note()

    def _note(self) -> None:
        if self._pending_since is None:
            self._pending_since = time.time()
        self._changed.set()

    async def _show_table(self, stack: AsyncExitStack) -> None:
        if self._table_socket is None:
            return
        try:
            await stack.enter_async_context(serving(self._table_socket, self._show.answer))
        except OSError as error:
            _log.warning("the table can't be shown on %s: %s", self._table_socket, error.strerror)

    async def _serve_health(self, stack: AsyncExitStack) -> None:
        if self._healthz is None:
            return
        server = HealthServer(self._report)
        stack.callback(server.close)
        try:
            await server.start(*self._healthz)
        except OSError as error:
            _log.warning("healthz on %s:%d: %s", *self._healthz, error.strerror)

    def _report(self, path: str) -> tuple[int, Mapping[str, Any]]:
        """As kube-proxy: unhealthy once a change has waited for two minutes; /healthz also on a node about to go."""
        if path not in ("/healthz", "/livez"):
            return 404, {"error": "404 page not found"}
        now = time.time()
        stuck = self._pending_since is not None and now - self._pending_since > 120
        body = {"lastUpdated": _stamp(self._applied_at), "currentTime": _stamp(now), "nodeEligible": self._eligible}
        return (503 if stuck or (path == "/healthz" and not self._eligible) else 200), body


def _say_what_is_not_forwarded(delta: Applied) -> None:
    """Once for each Service that comes to have such a port."""
    other, before = _not_forwarded(delta.new), _not_forwarded(delta.old) if delta.old else set()
    for name, number, protocol in sorted(other - before):
        where = f"{delta.new['metadata']['namespace']}/{delta.new['metadata']['name']}"
        _log.warning("%s: port %s: %s is not forwarded", where, name or number, protocol)


def _not_forwarded(service: Mapping[str, Any]) -> set[tuple[str, int, str]]:
    ports = (service.get("spec") or {}).get("ports") or ()
    named = {(port.get("name", ""), int(port["port"]), port.get("protocol", "TCP")) for port in ports}
    return {port for port in named if port[2] not in PROTOCOLS}


def _internal_ips(node: Mapping[str, Any]) -> tuple[str, ...]:
    addresses = (node.get("status") or {}).get("addresses") or ()
    return tuple(item["address"] for item in addresses if item["type"] == "InternalIP" and ":" not in item["address"])


def _is_eligible(node: Mapping[str, Any]) -> bool:
    """Whether load balancers should still send connections here (KEP-3836)."""
    taints = (node.get("spec") or {}).get("taints") or ()
    going = any(taint.get("key") == TO_BE_DELETED for taint in taints)
    return not (going or node["metadata"].get("deletionTimestamp"))


def _without_managed_fields(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": metadata}


def _stamp(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat().replace("+00:00", "Z")
