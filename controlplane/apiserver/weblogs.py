"""A log in a WebSocket: the form for browsers, which get it with their first request (subprotocol binary.k8s.io)."""

from __future__ import annotations

import asyncio
import base64
import contextlib

import aiohttp
from aiohttp import web

from panal.errors import BadRequest
from panal.tasks import cancel, spawn

BINARY, BASE64 = "binary.k8s.io", "base64.binary.k8s.io"
_CLOSE_SECONDS = 2.0
_MAX_MESSAGE = 64 * 1024


async def send(request: web.BaseRequest, content: aiohttp.StreamReader) -> web.WebSocketResponse:
    """Pass the log on until it ends or the client goes; what the client says means nothing. Raises BadRequest."""
    protocol = choose(request.headers.getall("Sec-WebSocket-Protocol", []))
    socket = web.WebSocketResponse(
        timeout=_CLOSE_SECONDS,
        protocols=(protocol,) if protocol else (),
        compress=False,
        max_msg_size=_MAX_MESSAGE,
    )
    await socket.prepare(request)
    copying = spawn(_copy(content, socket, in_base64=protocol == BASE64), name="log")
    leaving = spawn(_until_gone(socket, copying), name="reader of a log")
    try:
        await asyncio.wait([copying])
    finally:
        await cancel(copying)
        await cancel(leaving)
        with contextlib.suppress(ConnectionError):
            await socket.close()
    return socket


def choose(offered: list[str]) -> str:
    """The subprotocol to speak; none where the client names none. Raises BadRequest."""
    named = [word.strip() for text in offered for word in text.split(",") if word.strip()]
    if not named:
        return ""
    for protocol in named:
        if protocol in (BINARY, BASE64):
            return protocol
    raise BadRequest(f"unable to upgrade: none of the protocols {named} is supported")


async def _copy(content: aiohttp.StreamReader, socket: web.WebSocketResponse, *, in_base64: bool) -> None:
    with contextlib.suppress(ConnectionError, aiohttp.ClientError):
        async for chunk in content.iter_any():
            if in_base64:
                await socket.send_str(base64.b64encode(chunk).decode())
            else:
                await socket.send_bytes(chunk)


async def _until_gone(socket: web.WebSocketResponse, copying: asyncio.Task[None]) -> None:
    async for _ in socket:
        pass
    copying.cancel()
