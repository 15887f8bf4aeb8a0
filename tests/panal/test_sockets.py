"""Listening and connecting sockets."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

import pytest
import uvloop

from panal.sockets import connect, listening


def test_a_taken_port_is_said_with_its_address() -> None:
    with listening("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            listening("127.0.0.1", port)


def test_a_server_on_it_starts_no_threads() -> None:
    async def serve() -> tuple[int, int]:
        before = len(os.listdir("/proc/self/task"))
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, sock=listening("127.0.0.1", 0))
        server.close()
        return before, len(os.listdir("/proc/self/task"))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        before, after = runner.run(serve())
    assert after == before


def test_the_socket_listens_and_does_not_block() -> None:
    with listening("127.0.0.1", 0) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        assert not sock.getblocking()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_connecting_starts_no_threads_and_tells_who_refused(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def story() -> None:
        with listening("127.0.0.1", 0) as server, socket.socket() as client:
            client.setblocking(False)
            await connect(client, server.getsockname())
            assert client.getpeername() == server.getsockname()
            address = server.getsockname()
        with socket.socket() as refused:
            refused.setblocking(False)
            with pytest.raises(OSError, match=f"127.0.0.1:{address[1]}: Connection refused"):
                await connect(refused, address)

    before = len(os.listdir("/proc/self/task"))
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())
    assert len(os.listdir("/proc/self/task")) == before
