"""What kube-proxy answers about itself and, for load balancers, about Services with externalTrafficPolicy Local.

/healthz and /livez on the healthz port; on a Service's healthCheckNodePort, 200 while this node has an endpoint of it
and 503 otherwise: a load balancer that asks sends nothing in vain.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
from aiohttp import web

from panal.sockets import listening

from .table import ServicePort, ServiceTable

_log = logging.getLogger(__name__)

Report = Callable[[str], tuple[int, Mapping[str, Any]]]
"""The status and the JSON body for a path."""
WEIGHT = "X-Load-Balancing-Endpoint-Weight"
"""How many endpoints are here, for load balancers that send in proportion."""


class HealthServer:
    """HTTP on one address and port."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._server: asyncio.Server | None = None

    async def start(self, address: str, port: int) -> None:
        """Raises OSError."""
        self._server = await asyncio.get_running_loop().create_server(
            web.Server(self._answer), sock=listening(address, port)
        )

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        status, body = self._report(request.path)
        headers = {"X-Content-Type-Options": "nosniff"}
        if "localEndpoints" in body:
            headers[WEIGHT] = str(body["localEndpoints"])
        return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()


class ServiceHealth:
    """One HealthServer for each healthCheckNodePort of the table."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._servers: dict[int, HealthServer] = {}
        self._services: dict[int, tuple[str, str, int]] = {}

    async def apply(self, table: ServiceTable) -> None:
        self._services = services_by_check_port(table)
        for port in [port for port in self._servers if port not in self._services]:
            self._servers.pop(port).close()
        for port in self._services.keys() - self._servers.keys():
            await self._start(port)

    async def _start(self, port: int) -> None:
        server = HealthServer(lambda _: self._report(port))
        try:
            await server.start(self._address, port)
        except OSError as error:
            _log.warning("health check port %d: %s", port, error.strerror)
            return
        self._servers[port] = server

    def _report(self, port: int) -> tuple[int, Mapping[str, Any]]:
        namespace, name, endpoints = self._services.get(port, ("", "", 0))
        body = {
            "service": {"namespace": namespace, "name": name},
            "localEndpoints": endpoints,
            "serviceProxyHealthy": True,
        }
        return (200 if endpoints else 503), body

    def close(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers.clear()


def services_by_check_port(ports: Iterable[ServicePort]) -> dict[int, tuple[str, str, int]]:
    """healthCheckNodePort -> (namespace, name, how many endpoints on this node)."""
    found: dict[int, tuple[str, str, int]] = {}
    for port in ports:
        if port.health_check_port:
            addresses = {item.ip for item in port.local_endpoints}
            found[port.health_check_port] = (port.name.namespace, port.name.service, len(addresses))
    return found
