"""Pairs of streams become connections, to a real server, over a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from panal import spdy
from panal.agents.kubelet.portforward import Forwarder
from panal.agents.kubelet.spdyremote import RawDuplex
from panal.agents.kubelet.spdyserver import Connection
from panal.agents.runtime.contract import RuntimeFailure
from panal.tasks import cancel, spawn

from .test_spdyserver import Peer

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def forwarding(serve: Serve) -> AsyncIterator[Peer]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)

    async def dial(port: int) -> int:
        if port != 80:
            raise RuntimeFailure("connect: connection refused")
        connection = socket.create_connection(server.sockets[0].getsockname())
        connection.setblocking(False)
        return connection.detach()

    ours, theirs = socket.socketpair()
    served = await asyncio.open_connection(sock=ours)
    peer = Peer(*await asyncio.open_connection(sock=theirs))
    try:
        async with Connection(RawDuplex(*served)) as connection:
            running = spawn(Forwarder(connection, dial, "web_default").run(), name="forwarder")
            yield peer
            await cancel(running)
    finally:
        peer.writer.close()
        server.close()


def pair(first: int, port: int, request: str | None = "0") -> list[spdy.Frame]:
    named = {} if request is None else {"requestid": request}
    return [
        spdy.SynStream(first, {"streamtype": "error", "port": str(port), **named}, fin=True),
        spdy.SynStream(first + 2, {"streamtype": "data", "port": str(port), **named}),
    ]


async def heard(peer: Peer, stream: int) -> bytes:
    """All that comes on a stream, whatever comes on others."""
    found = b""
    while True:
        frame = await peer.hear()
        if isinstance(frame, spdy.Data) and frame.stream == stream:
            found += frame.payload
            if frame.fin:
                return found


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers when all has been said."""
    writer.write((await reader.read()).upper())
    writer.close()


@pytest.mark.parametrize("request_id", ["0", None], ids=["with ids", "without"])
async def test_the_pod_may_answer_after_the_user_has_finished(request_id: str | None) -> None:
    async with forwarding(shout) as peer:
        peer.say(*pair(1, 80, request_id), spdy.Data(3, b"hello"), spdy.Data(3, b"", fin=True))
        assert await heard(peer, 3) == b"HELLO"
        assert await heard(peer, 1) == b""


async def test_connections_do_not_wait_for_each_other() -> None:
    async with forwarding(shout) as peer:
        peer.say(*pair(1, 80, "a"), *pair(5, 80, "b"))
        peer.say(spdy.Data(7, b"second", fin=True))
        assert await heard(peer, 7) == b"SECOND"
        peer.say(spdy.Data(3, b"first", fin=True))
        assert await heard(peer, 3) == b"FIRST"


async def test_a_port_on_which_nobody_listens_is_told_on_the_error_stream() -> None:
    async with forwarding(shout) as peer:
        peer.say(*pair(1, 81))
        assert await heard(peer, 1) == b"error forwarding port 81 to pod web_default: connect: connection refused"


async def test_streams_that_make_no_pair_are_reset() -> None:
    async with forwarding(shout) as peer:
        peer.say(spdy.SynStream(1, {"streamtype": "data", "port": "99999"}))
        assert [await peer.hear(), await peer.hear()] == [spdy.SynReply(1, {}), spdy.Reset(1, spdy.CANCEL)]
