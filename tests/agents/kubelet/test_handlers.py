"""What probes and hooks do, against real sockets; their words are upstream's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from panal.agents.kubelet.handlers import Handlers, Outcome, Target
from panal.agents.runtime.contract import ExecResult, RuntimeFailure

from ...ports import free_port


class Streams:
    """Containers whose every command does what `answer` says."""

    def __init__(self, answer: ExecResult | Exception | None = None) -> None:
        self._answer = answer

    async def exec(self, *_: Any, **__: Any) -> ExecResult:
        if isinstance(self._answer, Exception):
            raise self._answer
        assert self._answer is not None
        return self._answer

    async def usage(self, container_id: str) -> Any:
        raise RuntimeFailure(container_id)


async def run(handler: dict[str, Any], port: int = 0, timeout: float = 1, streams: Any = None) -> Outcome:
    spec = {"name": "web", "ports": [{"name": "http", "containerPort": port}]}
    handlers = Handlers(streams or Streams())
    try:
        return await handlers.run(handler, Target("id", spec, "127.0.0.1"), timeout)
    finally:
        await handlers.close()


@asynccontextmanager
async def site() -> AsyncIterator[tuple[int, list[web.Request]]]:
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        if request.path == "/slow":
            await asyncio.sleep(5)
        status = int(request.path.strip("/") or 200)
        return web.Response(status=status, headers={"Location": "/500"} if status == 302 else {})

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1], asked
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "success", "output"),
    [
        ("/", True, ""),
        ("/302", True, ""),
        ("/404", False, "HTTP probe failed with statuscode: 404"),
        ("500", False, "HTTP probe failed with statuscode: 500"),
    ],
)
async def test_http_is_well_from_200_to_399(path: str, success: bool, output: str) -> None:
    async with site() as (port, asked):
        headers = [{"name": "X-Probe", "value": "1"}, {"name": "Host", "value": "web1.miempresa.com"}]
        found = await run({"httpGet": {"path": path, "port": "http", "httpHeaders": headers}}, port)
    assert found == Outcome(success, output)
    sent = asked[0].headers
    assert (sent["User-Agent"], sent["Host"], sent["X-Probe"]) == ("kube-probe/1.36", "web1.miempresa.com", "1")


async def test_http_that_nobody_answers_is_told_as_go_would() -> None:
    port = free_port()
    found = await run({"httpGet": {"path": "/x", "port": port}})
    where = f"127.0.0.1:{port}"
    assert found == Outcome(False, f'Get "http://{where}/x": dial tcp {where}: connect: connection refused')
    async with site() as (slow, _):
        found = await run({"httpGet": {"path": "/slow", "port": slow}}, timeout=0.1)
    assert "context deadline exceeded" in found.output


async def test_tcp() -> None:
    async with site() as (port, _):
        assert await run({"tcpSocket": {"port": port}}) == Outcome(True, "")
    port = free_port()
    words = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    assert await run({"tcpSocket": {"port": port}}) == Outcome(False, words)
    assert (await run({"tcpSocket": {"port": "none"}})).output == "couldn't find port: none"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ExecResult(0, b"fine\n", b""), Outcome(True, "fine\n")),
        (ExecResult(1, b"", b"cat: can't open\n"), Outcome(False, "cat: can't open\n")),
        (TimeoutError(), Outcome(False, 'command timed out: "cat x" timed out after 1s')),
        (RuntimeFailure("no such container"), Outcome(False, "no such container")),
    ],
)
async def test_exec(answer: Any, expected: Outcome) -> None:
    assert await run({"exec": {"command": ["cat", "x"]}}, streams=Streams(answer)) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [(1, Outcome(True, "")), (2, Outcome(False, 'service unhealthy (responded with "NOT_SERVING")'))],
)
async def test_grpc(status: int, expected: Outcome) -> None:
    asked = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One HTTP/2 exchange, frame by frame: SETTINGS, HEADERS (:status 200), DATA."""
        asked.extend(await reader.readuntil(b"db"))
        message = b"\0\0\0\0\2\x08" + bytes([status])
        writer.write(b"\0\0\0\4\0\0\0\0\0")
        writer.write(b"\0\0\1\1\4\0\0\0\1\x88")
        writer.write(bytes([0, 0, len(message), 0, 0, 0, 0, 0, 1]) + message)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await run({"grpc": {"port": port, "service": "db"}}) == expected
    assert asked.startswith(b"PRI * HTTP/2.0")


async def test_sleep_is_well_in_the_end() -> None:
    assert await run({"sleep": {"seconds": 0}}) == Outcome(True, "")
