"""Frames cross a socket whole, with their descriptors, in both directions and whatever their size."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

from panal.agents.runtime.wire import MAX_FRAME, Wire


class End:
    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.got: asyncio.Queue[tuple[dict[str, Any], list[int]]] = asyncio.Queue()
        self.lost = asyncio.Event()
        self.wire = Wire(connection, lambda message, fds: self.got.put_nowait((message, fds)), self.lost.set)


def pair() -> tuple[End, End]:
    one, two = socket.socketpair()
    return End(one), End(two)


async def test_many_large_messages_arrive_in_order() -> None:
    one, two = pair()
    for number in range(50):
        one.wire.send({"id": number, "text": "x" * 100_000})
    for number in range(50):
        message, _ = await asyncio.wait_for(two.got.get(), 5)
        assert (message["id"], len(message["text"])) == (number, 100_000)
    one.wire.close()
    await asyncio.wait_for(two.lost.wait(), 5)


async def test_descriptors_come_with_their_message() -> None:
    one, two = pair()
    reading, writing = os.pipe()
    for number in range(30):
        one.wire.send({"id": number, "text": "x" * 50_000}, [writing] if number % 3 == 0 else [])
    os.close(writing)
    for number in range(30):
        message, descriptors = await asyncio.wait_for(two.got.get(), 5)
        assert (message["id"], len(descriptors)) == (number, int(number % 3 == 0))
        for descriptor in descriptors:
            os.write(descriptor, b"%d " % number)
            os.close(descriptor)
    assert os.read(reading, 1000) == b"0 3 6 9 12 15 18 21 24 27 "
    os.close(reading)
    one.wire.close()
    two.wire.close()


async def test_nonsense_ends_the_connection() -> None:
    for bytes_ in ((MAX_FRAME + 1).to_bytes(4, "big"), b"\0\0\0\2[}", b"\0\0\0\2{\xff"):
        raw, other = socket.socketpair()
        end = End(other)
        raw.send(bytes_)
        await asyncio.wait_for(end.lost.wait(), 5)
        assert end.wire.closed
        end.wire.send({})
        raw.close()
