"""Applications that say hello: google-samples' hello-app, node-hello and kubernetes-bootcamp."""

from __future__ import annotations

import asyncio
import datetime
import os
import socket
import sys
import time
from collections.abc import Callable

from aiohttp import web

from ..agnhost.servers import Handler, serve, until_told

HELLO_PORT = 8080


def hello_app_1(argv: list[str]) -> int:
    return _hello_app("1.0.0")


def hello_app_2(argv: list[str]) -> int:
    return _hello_app("2.0.0")


def node_hello(argv: list[str]) -> int:
    async def hello(request: web.Request) -> web.Response:
        _say(f"Received request for URL: {request.rel_url}")
        return web.Response(text="Hello Kubernetes!")

    return run(HELLO_PORT, hello)


def bootcamp_1(argv: list[str]) -> int:
    return _bootcamp(1, "Running on")


def bootcamp_2(argv: list[str]) -> int:
    return _bootcamp(2, "Running on")


def run(port: int, answer: Handler, said: str | Callable[[], str] = "") -> int:
    """Answer whatever is asked on this port, until SIGTERM or SIGINT; `said` is logged once it listens."""

    async def serving() -> int:
        await serve([web.route("*", "/{rest:.*}", answer)], port)
        if said:
            _say(said if isinstance(said, str) else said())
        await until_told()
        return 0

    return asyncio.run(serving())


def go_time() -> str:
    """Now, as the logs of Go's programs begin."""
    return time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime())


def _hello_app(version: str) -> int:
    port = int(os.environ.get("PORT") or HELLO_PORT)

    async def hello(request: web.Request) -> web.Response:
        _say(f"{go_time()} Serving request: {request.path}")
        return web.Response(text=f"Hello, world!\nVersion: {version}\nHostname: {socket.gethostname()}\n")

    return run(port, hello, lambda: f"{go_time()} Server listening on port {port}")


def _bootcamp(version: int, where: str) -> int:
    name, began, asked = socket.gethostname(), time.monotonic(), 0

    async def hello(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        up = f"{time.monotonic() - began:.3f}"
        _say(f"Running On: {name} | Total Requests: {asked} | App Uptime: {up} seconds | Log Time: {_moment()}")
        return web.Response(text=f"Hello Kubernetes bootcamp! | {where}: {name} | v={version}\n")

    return run(HELLO_PORT, hello, lambda: f"Kubernetes Bootcamp App Started At: {_moment()} | Running On:  {name} \n")


def _moment() -> str:
    now = datetime.datetime.now(datetime.UTC)
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
