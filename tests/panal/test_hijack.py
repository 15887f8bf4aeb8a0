"""A connection that is taken over in the middle of aiohttp's server."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from panal.hijack import Hijacked


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    hijacked = Hijacked(request)
    reader, writer = hijacked.streams
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    while chunk := await reader.read(100):
        writer.write(chunk.upper())
        if chunk.endswith(b"."):
            break
    return hijacked


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_connection_is_the_handlers_until_it_returns(method: str) -> None:
    server = web.Server(echo, handler_cancellation=True)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    try:
        head = (
            f"{method} /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n"
        )
        writer.write(head.encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"GET / HTTP/1.1\r\n\r\n"
        writer.write(b"end.")
        assert await asyncio.wait_for(reader.read(), 5) == b"END."
        async with asyncio.timeout(5):
            while server.connections:
                await asyncio.sleep(0.01)
    finally:
        writer.close()
        listening.close()
        await server.shutdown()


async def test_the_handler_hears_that_the_client_goes() -> None:
    ended = asyncio.Event()

    async def wait(request: web.BaseRequest) -> web.StreamResponse:
        hijacked = Hijacked(request)
        hijacked.streams[1].write(b"x")
        assert await hijacked.streams[0].read() == b""
        ended.set()
        return hijacked

    server = web.Server(wait, handler_cancellation=True)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    try:
        writer.write(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readexactly(1)
        writer.close()
        await asyncio.wait_for(ended.wait(), 5)
    finally:
        listening.close()
        await server.shutdown()
