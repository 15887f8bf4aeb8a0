"""An ingress on real sockets before backends that say exactly what a test tells them to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from panal.proxy.ingress.annotations import DEFAULT
from panal.proxy.ingress.downstream import Timeouts
from panal.proxy.ingress.proxy import Proxy
from panal.proxy.ingress.routes import Address, Backend, HostRoutes, Route, RouteTable
from panal.proxy.ingress.server import Server
from panal.proxy.ingress.tls import Certificates
from panal.proxy.ingress.upstreams import Pool

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], Any]]:
    """As in production."""
    return {"uvloop": uvloop.new_event_loop}


class Ingress:
    """One ingress for `a.com`."""

    def __init__(self, proxy: Proxy, server: Server, port: int) -> None:
        self.proxy, self.server, self.port = proxy, server, port

    def route(self, *addresses: Address, **options: Any) -> None:
        through_service = bool(options.get("service_upstream"))
        backend = Backend("default-web-80", tuple(addresses), through_service)
        route = Route("/", "Prefix", backend, "default/web", replace(DEFAULT, **options))
        self.proxy.apply(RouteTable(hosts={"a.com": HostRoutes([route])}, backends=frozenset(addresses)))

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def say(self, data: bytes, *, step: int = 1 << 20) -> bytes:
        """Send, and read all until the ingress closes the connection."""
        reader, writer = await self.connect()
        try:
            for at in range(0, len(data), step):
                writer.write(data[at : at + step])
                await writer.drain()
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def serving(timeouts: Timeouts | None = None, **how: Any) -> AsyncIterator[Ingress]:
    proxy = Proxy(timeouts or Timeouts(), pool=Pool(connect_port=lambda port: port), **how)
    server = Server(proxy, Certificates(lambda name: None, lambda name: None))
    port = await server.listen("127.0.0.1", 0, told_port=80)
    try:
        yield Ingress(proxy, server, port)
    finally:
        await server.close()
        await asyncio.sleep(0.01)
        assert not proxy.connections
        assert not len(proxy.pool)


@pytest.fixture
async def ingress() -> AsyncIterator[Ingress]:
    async with serving() as found:
        yield found


@contextlib.asynccontextmanager
async def backend(talk: Talk) -> AsyncIterator[Address]:
    """A backend that does what `talk` does on each connection; gives its address."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def length_of(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def saying(response: bytes, heard: list[bytes] | None = None, *, keep: bool = True) -> Talk:
    """A backend that reads whole requests (with a told length) and always answers the same."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await head_of(reader)
            body = await reader.readexactly(length_of(head))
            if heard is not None:
                heard.append(head + body)
            writer.write(response)
            await writer.drain()
            if not keep:
                return

    return talk


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
GET = b"GET / HTTP/1.1\r\nHost: a.com\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a.com\r\nConnection: close\r\n\r\n"


def status(said: bytes) -> int:
    return int(said.split(b" ", 2)[1])
