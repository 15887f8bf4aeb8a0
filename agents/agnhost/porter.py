"""`porter`: SERVE_PORT_8080=hello makes port 8080 answer hello, SERVE_TLS_PORT_8443 does so over TLS."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

from aiohttp import web

from . import certificates
from .flags import parse
from .servers import Handler, serve, until_told

_PLAIN, _TLS = "SERVE_PORT_", "SERVE_TLS_PORT_"


def main(argv: list[str]) -> int:
    values, _ = parse(argv, {"json-response": "false"})
    return asyncio.run(_serve(dict(os.environ), as_json=values["json-response"] == "true"))


async def _serve(environment: Mapping[str, str], *, as_json: bool) -> int:
    files = environment.get("CERT_FILE") or "localhost.crt", environment.get("KEY_FILE") or "localhost.key"
    for prefix in (_PLAIN, _TLS):
        wanted = {name.removeprefix(prefix): text for name, text in environment.items() if name.startswith(prefix)}
        tls = certificates.context(*files) if wanted and prefix == _TLS else None
        for port, text in wanted.items():
            if port.isdigit() and 0 < int(port) < 65536:
                await serve([web.route("*", "/{rest:.*}", _saying(text, as_json=as_json))], int(port), tls)
    await until_told()
    return 0


def _saying(text: str, *, as_json: bool) -> Handler:
    async def page(request: web.Request) -> web.Response:
        if as_json:
            return web.json_response({"Method": request.method, "Body": text})
        return web.Response(text=text, content_type="text/html" if text.startswith("<") else "text/plain")

    return page
