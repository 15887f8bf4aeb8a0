"""registry.k8s.io/goproxy, the server of the tutorial on TCP probes: a small forward proxy on port 8080."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit

from panal.addresses import real_port

from ..agnhost.servers import address, until_told

_HEAD_LIMIT = 16 << 10
_CHUNK = 64 << 10
_SECONDS = 30.0
"""For a request's head to arrive, and for its server to be reached."""
_NO_PROXY = b"This is a proxy server. Does not respond to non-proxy requests.\n"


def main(argv: list[str]) -> int:
    return asyncio.run(_serve())


async def _serve() -> int:
    server = await asyncio.start_server(_talk, address(), real_port(8080), limit=_HEAD_LIMIT)
    async with server:
        await until_told()
    return 0


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
        async with asyncio.timeout(_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        first, _, rest = head.partition(b"\r\n")
        await _answer(first.decode("latin-1").split(), rest, reader, writer)
    writer.close()


async def _answer(words: list[str], rest: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    method, target = (*words, "", "")[:2]
    parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
    if not parts.hostname or (method != "CONNECT" and parts.scheme != "http"):
        length = f"Content-Length: {len(_NO_PROXY)}\r\nConnection: close\r\n\r\n".encode()
        writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\n" + length + _NO_PROXY)
        await writer.drain()
        return
    try:
        async with asyncio.timeout(_SECONDS):
            back, forth = await asyncio.open_connection(parts.hostname, parts.port or 80)
    except OSError as error:
        said = f"{error.strerror or error}\n".encode()
        writer.write(
            b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said)
        )
        await writer.drain()
        return
    if method == "CONNECT":
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
    else:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        kept = b"\r\n".join(line for line in rest.split(b"\r\n") if not line.lower().startswith(_OF_A_HOP))
        forth.write(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n".encode("latin-1") + kept)
    async with asyncio.TaskGroup() as both:
        both.create_task(_copy(reader, forth))
        both.create_task(_copy(back, writer))


_OF_A_HOP = (b"connection:", b"proxy-connection:", b"proxy-authorization:")


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while part := await source.read(_CHUNK):
            target.write(part)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
