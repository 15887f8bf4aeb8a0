"""The ingress' own small server: /healthz for probes, /metrics for Prometheus, as ingress-nginx has them on 10254."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from panal.sockets import listening

from .proxy import Proxy

TRACE = "/trace/"
"""And the id of a traced request: what became of it."""


def metrics(proxy: Proxy) -> str:
    """Prometheus' text format; the names are ingress-nginx'."""
    lines = ["# TYPE nginx_ingress_controller_requests counter"]
    for (ingress, backend, method, status), count in sorted(proxy.requests.items()):
        namespace, _, name = ingress.partition("/")
        labels = f'namespace="{namespace}",ingress="{name}",upstream="{backend}",method="{method}",status="{status}"'
        lines.append(f"nginx_ingress_controller_requests{{{labels}}} {count}")
    lines.append("# TYPE nginx_ingress_controller_bad_requests counter")
    lines += [
        f'nginx_ingress_controller_bad_requests{{status="{s}"}} {n}' for s, n in sorted(proxy.bad_requests.items())
    ]
    lines += [
        "# TYPE nginx_ingress_controller_nginx_process_connections gauge",
        f'nginx_ingress_controller_nginx_process_connections{{state="active"}} {proxy.connections}',
        "# TYPE nginx_ingress_controller_upstream_connections_idle gauge",
        f"nginx_ingress_controller_upstream_connections_idle {len(proxy.pool)}",
    ]
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def admin_server(
    host: str, port: int, proxy: Proxy | None, ready: Callable[[], bool], told: Callable[[], str] | None = None
) -> AsyncIterator[int]:
    """Serve while the block runs; gives the port. `told` gives the metrics where another program is the proxy."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path in ("/healthz", "/readyz"):
            return web.Response(text="ok") if ready() else web.Response(status=500, text="not synced yet")
        if request.path == "/livez":
            return web.Response(text="ok")
        if request.path == "/metrics":
            return web.Response(text=metrics(proxy) if proxy is not None else told() if told is not None else "")
        if (
            proxy is not None
            and request.path.startswith(TRACE)
            and (found := proxy.traces.get(request.path.removeprefix(TRACE)))
        ):
            return web.json_response(found)
        return web.Response(status=404, text="404 page not found\n")

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    try:
        await web.SockSite(runner, listening(host, port)).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
