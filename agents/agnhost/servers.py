"""The small servers: serve-hostname, liveness, porter, test-webserver."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from panal.addresses import real_port

from .flags import number, parse

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def address() -> str:
    """Where to listen: on the pod's address where pods share the machine's network."""
    return os.environ.get("POD_IP", "127.0.0.1") if os.environ.get("PANAL_ROOT") else "0.0.0.0"


async def serve(routes: Sequence[web.AbstractRouteDef], port: int, tls: ssl.SSLContext | None = None) -> web.AppRunner:
    """Answer on this port until the runner is cleaned up."""
    app = web.Application(client_max_size=64 << 20)
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, address(), real_port(port), reuse_address=True, ssl_context=tls).start()
    return runner


async def until_told() -> None:
    """SIGTERM or SIGINT."""
    ended = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, ended.set)
    await ended.wait()


class Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram with what `answer` makes of it and of its sender; None is silence."""

    def __init__(self, answer: Callable[[bytes, tuple[str, int]], bytes | None]) -> None:
        self._answer = answer
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._answer(data, addr)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


def serve_hostname(argv: list[str]) -> int:
    """Over HTTP, or with --tcp and --udp bare."""
    values, _ = parse(argv, {"tcp": "false", "udp": "false", "http": "true", "close": "false", "port": "9376"})
    return asyncio.run(_serve_hostname(values, number(values, "port")))


async def _serve_hostname(values: dict[str, str], port: int) -> int:
    name = socket.gethostname().encode()
    loop = asyncio.get_running_loop()

    async def page(request: web.Request) -> web.Response:
        answer = web.Response(body=name, content_type="text/plain")
        if values["close"] == "true":
            answer.force_close()
        return answer

    async def bare(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name + b"\n")
        writer.close()

    if values["udp"] == "true":
        await loop.create_datagram_endpoint(lambda: Datagrams(lambda data, sender: name), (address(), real_port(port)))
    if values["tcp"] == "true":
        await asyncio.start_server(bare, address(), real_port(port))
    elif values["http"] == "true" and values["udp"] != "true":
        await serve([web.get("/{rest:.*}", page)], port)
    await until_told()
    return 0


def liveness(argv: list[str]) -> int:
    """/healthz is well for ten seconds, then answers 500; /started tells since when."""
    return asyncio.run(_liveness(time.monotonic()))


async def _liveness(began: float) -> int:
    async def healthz(request: web.Request) -> web.Response:
        passed = time.monotonic() - began
        return web.Response(status=500, text=f"error: {passed:.9g}") if passed > 10 else web.Response(text="ok")

    async def started(request: web.Request) -> web.Response:
        return web.Response(text=f"{time.monotonic() - began:.9g}s")

    await serve([web.get("/healthz", healthz), web.get("/started", started)], 8080)
    await until_told()
    return 0


def test_webserver(argv: list[str]) -> int:
    """The container's own files."""
    values, _ = parse(argv, {"port": "80"})

    async def run() -> int:
        await serve([web.static("/", os.environ.get("PANAL_ROOT") or "/", show_index=True)], number(values, "port"))
        await until_told()
        return 0

    return asyncio.run(run())
