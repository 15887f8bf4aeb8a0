"""A forward proxy on real sockets before a web server that tells what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from panal.proxy.exit.names import Unknown
from panal.proxy.exit.policy import Policy
from panal.proxy.exit.server import ForwardProxy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Hosts:
    """Names as a test has them."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    async def address(self, host: str) -> str:
        if host not in self.known:
            raise Unknown(f"{host} has no address: NXDOMAIN")
        return self.known[host]


@dataclass
class Exit:
    """The proxy with what it may be asked for."""

    port: int
    log: list[str]
    hosts: Hosts
    server_port: int
    heard: list[bytes] = field(default_factory=list)
    peers: list[tuple[str, int]] = field(default_factory=list)
    answer: bytes = OK

    async def say(self, data: bytes, *, then: Callable[[asyncio.StreamReader], object] | None = None) -> bytes:
        """Send, and read until the proxy closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()


SERVER = "127.1.2.3"
"""In the loopback network's addresses, for the proxy's own are nobody's destination."""


@pytest.fixture
async def way_out() -> AsyncIterator[Exit]:
    hosts, log = Hosts(), list[str]()
    hosts.known = {"web.example.org": SERVER, "own.example.org": "127.0.0.1", "dark.example.org": "127.66.6.6"}
    blocked = ["*.games.example=play at home", "127.66.0.0/16=the dark network", "chat.example=talk to each other"]
    async with contextlib.AsyncExitStack() as stack:
        found: Exit

        async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.peers.append(writer.get_extra_info("peername")[:2])
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                head = await reader.readuntil(b"\r\n\r\n")
                size = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                found.heard.append(head + await reader.readexactly(int(size[0].split(b":")[1]) if size else 0))
                writer.write(found.answer)
                await writer.drain()
                if b"\r\nupgrade: echo" in head.lower():
                    while data := await reader.read(1000):
                        writer.write(data.upper())
            writer.close()

        server = await asyncio.start_server(web, SERVER, 0)
        stack.callback(server.close)
        server_port = server.sockets[0].getsockname()[1]
        proxy = ForwardProxy("proxy", Policy.of(blocked, [server_port, 443]), hosts, log.append)
        stack.push_async_callback(proxy.close)
        found = Exit(await proxy.listen("127.0.0.1", 0), log, hosts, server_port)
        yield found
