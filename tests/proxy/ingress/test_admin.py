"""/healthz and /metrics."""

from __future__ import annotations

import aiohttp

from panal.proxy.ingress.admin import admin_server

from .conftest import LAST, OK, Ingress, backend, saying


async def test_health_follows_readiness_and_metrics_count_requests(ingress: Ingress) -> None:
    ready = False
    async with admin_server("127.0.0.1", 0, ingress.proxy, lambda: ready) as port, aiohttp.ClientSession() as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                return response.status, await response.text()

        assert (await get("/healthz"))[0] == 500
        ready = True
        assert await get("/healthz") == (200, "ok")
        assert (await get("/nothing"))[0] == 404
        async with backend(saying(OK)) as address:
            ingress.route(address)
            await ingress.say(LAST)
            await ingress.say(b"nonsense\r\n\r\n")
            _, text = await get("/metrics")
    assert (
        'nginx_ingress_controller_requests{namespace="default",ingress="web",upstream="default-web-80",'
        'method="GET",status="200"} 1\n'
    ) in text
    assert 'nginx_ingress_controller_bad_requests{status="400"} 1\n' in text
