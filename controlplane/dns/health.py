"""What probes and Prometheus ask a DNS server: /health, /ready and /metrics, on small ports of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from panal.sockets import listening

from .server import Responder


@asynccontextmanager
async def health_servers(
    host: str,
    ports: Mapping[str, int],
    responder: Responder,
    ready: Callable[[], bool],
    reload_failed: Callable[[], int] = lambda: 0,
) -> AsyncIterator[None]:
    """Serve `health`, `ready` and `metrics` each on its port while the block runs; port 0 leaves one out."""

    async def health(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="OK")

    async def readiness(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="OK") if ready() else web.Response(status=503, text="kubernetes")

    async def metrics(_: web.BaseRequest) -> web.StreamResponse:
        text = responder.exposition(reload_failed=reload_failed())
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    paths = {"/health": health, "/ready": readiness, "/metrics": metrics}

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        handler = paths.get(request.path)
        return web.Response(status=404, text="404 page not found\n") if handler is None else await handler(request)

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    try:
        for port in {port for port in ports.values() if port}:
            await web.SockSite(runner, listening(host, port)).start()
        yield
    finally:
        await runner.cleanup()
