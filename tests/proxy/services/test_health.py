"""healthCheckNodePort: a load balancer learns from it whether this node has an endpoint."""

from __future__ import annotations

import socket
from typing import Any

import aiohttp

from panal.proxy.services.health import ServiceHealth, services_by_check_port
from panal.proxy.services.table import Endpoint, PortName, ServicePort, ServiceTable

HERE = (Endpoint("10.10.0.5", 80, True), Endpoint("10.10.0.5", 443, True))


def web(port: int, *local: Endpoint) -> ServicePort:
    name = PortName("default", "web", "", "TCP")
    return ServicePort(
        name, ("10.10.1.1",), 80, external_local=True, health_check_port=port, endpoints=HERE, local_endpoints=local
    )


def test_endpoints_are_counted_by_address() -> None:
    assert services_by_check_port([web(31000, *HERE), web(0)]) == {31000: ("default", "web", 1)}


async def test_the_answer_follows_the_table_and_the_port_goes_with_the_service(port: int) -> None:
    health = ServiceHealth("127.0.0.1")

    async def apply(*ports: ServicePort) -> None:
        await health.apply(ServiceTable("nodoa", (), {item.name: item for item in ports}))

    async def get() -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as answer:
            return answer.status, await answer.json()

    await apply(web(port, *HERE))
    body = {"service": {"namespace": "default", "name": "web"}, "localEndpoints": 1, "serviceProxyHealthy": True}
    assert await get() == (200, body)
    await apply(web(port))
    assert await get() == (503, {**body, "localEndpoints": 0})
    await apply()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    health.close()
