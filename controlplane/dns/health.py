"""What probes and Prometheus ask a DNS server: /health, /ready and /metrics, on small ports of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from panal.sockets import listening

from .server import Responder


@asynccontextmanager
async def health_servers(
    host: str, health_port: int, ready_port: int, responder: Responder, ready: Callable[[], bool]
) -> AsyncIterator[None]:
    """Serve /health (and /metrics) and /ready while the block runs; port 0 leaves a server out."""

    async def health(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="OK")

    async def readiness(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="OK") if ready() else web.Response(status=503, text="kubernetes")

    async def metrics(_: web.BaseRequest) -> web.StreamResponse:
        lines = [
            "# TYPE coredns_dns_requests_total counter",
            f"coredns_dns_requests_total {responder.queries}",
            "# TYPE coredns_cache_entries gauge",
            f"coredns_cache_entries {len(responder.cache)}",
        ]
        return web.Response(text="\n".join(lines) + "\n")

    paths = {"/health": health, "/ready": readiness, "/metrics": metrics}

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        handler = paths.get(request.path)
        return web.Response(status=404, text="404 page not found\n") if handler is None else await handler(request)

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    try:
        for port in {port for port in (health_port, ready_port) if port}:
            await web.SockSite(runner, listening(host, port)).start()
        yield
    finally:
        await runner.cleanup()
