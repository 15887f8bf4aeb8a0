"""A SPDY connection's server end, spoken to over a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from panal import spdy
from panal.agents.kubelet.spdyremote import RawDuplex
from panal.agents.kubelet.spdyserver import BUFFER, Connection


class Peer:
    """The side that opens streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._encoder, self._decoder = spdy.Encoder(), spdy.Decoder()
        self._frames: list[spdy.Frame] = []

    def say(self, *frames: spdy.Frame) -> None:
        for frame in frames:
            self.writer.write(self._encoder.encode(frame))

    async def hear(self) -> spdy.Frame:
        async with asyncio.timeout(5):
            while not self._frames:
                chunk = await self._reader.read(65536)
                assert chunk
                self._frames += self._decoder.feed(chunk)
        return self._frames.pop(0)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Connection, Peer]]:
    ours, theirs = socket.socketpair()
    served = await asyncio.open_connection(sock=ours)
    peer = Peer(*await asyncio.open_connection(sock=theirs))
    try:
        async with Connection(RawDuplex(*served)) as connection:
            yield connection, peer
    finally:
        peer.writer.close()


async def test_a_stream_is_opened_written_and_ended_by_both() -> None:
    async with connected() as (connection, peer):
        peer.say(spdy.SynStream(1, {"StreamType": "data"}), spdy.Data(1, b"hello"), spdy.Data(1, b"", fin=True))
        stream = await connection.accept()
        assert stream is not None
        assert stream.headers == {"streamtype": "data"}
        assert [await stream.read(), await stream.read()] == [b"hello", b""]
        await stream.write(b"answer")
        await stream.finish(b"bye")
        assert [await peer.hear() for _ in range(4)] == [
            spdy.SynReply(1, {}),
            spdy.Data(1, b"answer"),
            spdy.Data(1, b"bye"),
            spdy.Data(1, b"", fin=True),
        ]


async def test_pings_are_answered_and_our_own_are_not_echoed() -> None:
    async with connected() as (_, peer):
        peer.say(spdy.Ping(2), spdy.Ping(7))
        assert await peer.hear() == spdy.Ping(7)


async def test_a_peer_that_is_not_read_has_to_wait() -> None:
    async with connected() as (connection, peer):
        peer.say(spdy.SynStream(1, {}))
        stream = await connection.accept()
        assert stream is not None
        for _ in range(100):
            peer.say(spdy.Data(1, b"x" * 65536))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.writer.drain(), 0.3)
        assert stream._size < 2 * BUFFER
        peer.say(spdy.Data(1, b"", fin=True))
        read = 0
        while chunk := await stream.read():
            read += len(chunk)
        assert read == 100 * 65536


async def test_a_reset_stream_ends_and_takes_no_more() -> None:
    async with connected() as (connection, peer):
        peer.say(spdy.SynStream(1, {}), spdy.Data(1, b"lost"), spdy.Reset(1, spdy.CANCEL), spdy.Ping(1))
        stream = await connection.accept()
        assert stream is not None
        assert await peer.hear() == spdy.SynReply(1, {})
        assert await peer.hear() == spdy.Ping(1)
        assert await stream.read() == b""
        with pytest.raises(ConnectionError):
            await stream.write(b"too late")


@pytest.mark.parametrize("frames", [[spdy.SynStream(2, {})], [spdy.SynStream(1, {}), spdy.SynStream(1, {})]])
async def test_a_peer_that_breaks_the_rules_is_let_go(frames: list[spdy.Frame]) -> None:
    async with connected() as (connection, peer):
        peer.say(*frames)
        await asyncio.wait_for(connection.ended.wait(), 5)


async def test_when_the_peer_goes_all_streams_end() -> None:
    async with connected() as (connection, peer):
        peer.say(spdy.SynStream(1, {}))
        stream = await connection.accept()
        assert stream is not None
        peer.writer.close()
        assert await stream.read() == b""
        assert await connection.accept() is None
