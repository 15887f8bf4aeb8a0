"""A user at the other end of a WebSocket, with a byte of channel before every message."""

from __future__ import annotations

import contextlib

from aiohttp import WSMsgType, web

from panal import channels

MAX_MESSAGE = 1024 * 1024
CLOSE_SECONDS = 2.0
"""How long the peer may take to agree to the end."""


class WebSocketRemote:
    """Implements `carry.Remote`."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._version = socket.ws_protocol or channels.V1

    async def receive(self) -> tuple[str, bytes | None] | None:
        while True:
            message = await self._socket.receive()
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return None
            body = message.data if isinstance(message.data, bytes) else message.data.encode()
            try:
                stream, data = channels.decode(body, version=self._version)
            except channels.ProtocolError:
                return None
            if data != b"":
                return stream, data

    async def send(self, stream: str, data: bytes) -> None:
        message = channels.encode(stream, data, self._version)
        if isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_bytes(message)

    async def finish(self, status: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            if words := channels.ending(status, self._version):
                await self.send("error", words)
        await self.close()

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._socket.close()


class WebSocketDuplex:
    """A WebSocket whose binary messages are pieces of another protocol's bytes."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        while True:
            message = await self._socket.receive()
            if message.type is not WSMsgType.BINARY:
                return b""
            if message.data:
                return bytes(message.data)

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._socket.close()


def offered(request: web.Request) -> list[str]:
    """The subprotocols that the client knows."""
    texts = request.headers.getall("Sec-WebSocket-Protocol", [])
    return [word.strip() for text in texts for word in text.split(",") if word.strip()]


async def accept(request: web.Request, protocol: str) -> web.WebSocketResponse:
    """The WebSocket, open; who named no protocol is told none."""
    socket = web.WebSocketResponse(
        timeout=CLOSE_SECONDS, protocols=(protocol,) if protocol else (), compress=False, max_msg_size=MAX_MESSAGE
    )
    await socket.prepare(request)
    return socket
