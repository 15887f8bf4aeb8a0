"""Forwarded TCP: turns, retries, ends of streams, resets, slow readers, limits. Real sockets on 127.0.0.1."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
import time
from typing import Any

import pytest

from panal.proxy.forward.balance import Backends
from panal.proxy.forward.records import Frontend, Hooks, Record
from panal.proxy.forward.tcp import SMALL

from ...ports import free_port

RESET = struct.pack("ii", 1, 0)


def tcp(port: int) -> Frontend:
    return Frontend("TCP", "127.0.0.1", port)


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def receive_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(1 << 20), b""))


async def test_connections_go_to_the_endpoints_in_turn(start_engine: Any, named: Any) -> None:
    engine, port = start_engine(), free_port()
    targets = tuple(named(name) for name in "abc")
    assert await engine.apply({tcp(port): Backends(targets)}) == {}
    answers = []
    for _ in range(6):
        with dial(port) as client:
            answers.append(client.recv(10))
    assert answers == [b"a", b"b", b"c"] * 2


async def test_an_endpoint_that_refuses_is_passed_over(start_engine: Any, named: Any) -> None:
    failures: list[tuple[str, int]] = []
    engine, port, dead = start_engine(hooks=Hooks(on_failure=failures.append)), free_port(), free_port()
    await engine.apply({tcp(port): Backends((("127.0.0.1", dead), named("alive")))})
    for _ in range(4):
        with dial(port) as client:
            assert client.recv(10) == b"alive"
    assert set(failures) == {("127.0.0.1", dead)}


async def test_without_an_endpoint_that_answers_the_client_is_reset(start_engine: Any) -> None:
    engine, port = start_engine(), free_port()
    await engine.apply({tcp(port): Backends((("127.0.0.1", free_port()),))})
    with pytest.raises(ConnectionResetError), dial(port) as client:
        client.recv(10)
    assert await engine.connections() == 0


async def test_the_end_of_one_direction_leaves_the_other_open(start_engine: Any, serve: Any) -> None:
    def count(connection: socket.socket) -> None:
        connection.sendall(str(len(receive_all(connection))).encode())

    engine, port = start_engine(), free_port()
    await engine.apply({tcp(port): Backends((serve(count).address,))})
    with dial(port) as client:
        client.sendall(b"x" * 300_000)
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b"300000"


async def test_a_reset_is_passed_on_as_a_reset(start_engine: Any, serve: Any) -> None:
    def cut(connection: socket.socket) -> None:
        connection.sendall(b"half of the ans")
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    engine, port = start_engine(), free_port()
    await engine.apply({tcp(port): Backends((serve(cut).address,))})
    with dial(port) as client:
        assert client.recv(100) == b"half of the ans"
        client.sendall(b"!")
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    assert await engine.connections() == 0


async def test_every_byte_arrives_at_a_slow_reader_and_memory_stays_small(start_engine: Any, serve: Any) -> None:
    sent = os.urandom(1 << 20) * 32
    progress = []

    def flood(connection: socket.socket) -> None:
        view = memoryview(sent)
        while view:
            view = view[connection.send(view[: 1 << 16]) :]
            progress.append(len(view))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)

    engine, port = start_engine(), free_port()
    await engine.apply({tcp(port): Backends((serve(flood).address,))})
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.settimeout(10)
    client.connect(("127.0.0.1", port))
    await asyncio.sleep(0.3)
    held = progress[-1]
    before = time.process_time()
    await asyncio.sleep(0.3)
    assert progress[-1] == held > len(sent) / 2, "the server was not held back"
    assert time.process_time() - before < 0.1, "waiting costs CPU"
    with client:
        assert await asyncio.to_thread(receive_all, client) == sent


@pytest.mark.parametrize("size", [1, SMALL - 1, SMALL, SMALL + 1, 5 * SMALL, 1 << 20])
async def test_small_and_large_messages_come_back_whole(start_engine: Any, named: Any, size: int) -> None:
    engine, port = start_engine(), free_port()
    await engine.apply({tcp(port): Backends((named(""),))})
    message = os.urandom(size)
    with dial(port) as client:
        for _ in range(3):
            sender = threading.Thread(target=client.sendall, args=(message,))
            sender.start()
            received = b""
            while len(received) < size:
                received += client.recv(1 << 16)
            sender.join()
            assert received == message


async def test_a_server_that_closes_while_the_client_is_slow_costs_no_cpu(start_engine: Any, serve: Any) -> None:
    size = 4 << 20

    def answer_and_close(connection: socket.socket) -> None:
        receive_all(connection)
        connection.sendall(b"y" * size)

    engine, port = start_engine(), free_port()
    await engine.apply({tcp(port): Backends((serve(answer_and_close).address,))})
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    client.settimeout(10)
    client.connect(("127.0.0.1", port))
    client.shutdown(socket.SHUT_WR)
    await asyncio.sleep(0.3)
    before = time.process_time()
    await asyncio.sleep(0.3)
    assert time.process_time() - before < 0.1
    with client:
        assert len(await asyncio.to_thread(receive_all, client)) == size
    await asyncio.sleep(0.05)
    assert await engine.connections() == 0


async def test_connections_outlive_their_endpoint_and_their_frontend(start_engine: Any, named: Any) -> None:
    engine, port = start_engine(), free_port()
    old, new = named("old"), named("new")
    await engine.apply({tcp(port): Backends((old,))})
    with dial(port) as client:
        assert client.recv(10) == b"old"
        await engine.apply({tcp(port): Backends((new,))})
        with dial(port) as second:
            assert second.recv(10) == b"new"
        await engine.apply({})
        client.sendall(b"still there")
        assert client.recv(100) == b"still there"
    with pytest.raises(ConnectionRefusedError):
        dial(port)


async def test_a_connection_to_an_endpoint_that_is_gone_is_reset_and_one_that_leaves_may_finish(
    start_engine: Any, named: Any
) -> None:
    engine, port = start_engine(), free_port()
    old, new = named("old"), named("new")
    await engine.apply({tcp(port): Backends((old,), leaving=())})
    with dial(port) as client:
        assert client.recv(10) == b"old"
        await engine.apply({tcp(port): Backends((new,), leaving=(old,))})
        await engine.apply({tcp(port): Backends((), leaving=(old,))})
        with pytest.raises(ConnectionRefusedError):
            dial(port)
        client.sendall(b"still here")
        assert client.recv(100) == b"still here"
        await engine.apply({tcp(port): Backends((new,), leaving=())})
        with pytest.raises(ConnectionResetError):
            client.recv(100)


async def test_what_cannot_be_bound_is_reported_and_the_rest_works(start_engine: Any, named: Any) -> None:
    engine, port = start_engine(), free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = tcp(taken.getsockname()[1])
        failed = await engine.apply({busy: Backends((named("a"),)), tcp(port): Backends((named("b"),))})
        assert list(failed) == [busy]
        with dial(port) as client:
            assert client.recv(10) == b"b"
    assert await engine.apply({busy: Backends((named("a"),))}) == {}


async def test_at_its_limit_it_makes_newcomers_wait(start_engine: Any, named: Any) -> None:
    engine, port = start_engine(connections=2), free_port()
    await engine.apply({tcp(port): Backends((named("a"),))})
    first, second, third = dial(port), dial(port), dial(port)
    assert first.recv(10) == second.recv(10) == b"a"
    third.settimeout(0.2)
    with pytest.raises(TimeoutError):
        third.recv(10)
    first.close()
    third.settimeout(5)
    assert third.recv(10) == b"a"
    second.close()
    third.close()


async def test_sockets_handed_over_are_accepted_on(start_engine: Any, named: Any) -> None:
    engine = start_engine()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        engine.hand_over("edge", [listener.dup()])
        await engine.apply({Frontend("TCP", "", 80, "edge"): Backends((named("a"),))})
        with dial(listener.getsockname()[1]) as client:
            assert client.recv(10) == b"a"


async def test_clients_outside_the_allowed_ranges_are_turned_away(start_engine: Any, named: Any) -> None:
    engine, port = start_engine(), free_port()
    await engine.apply({tcp(port): Backends((named("a"),), allowed=("10.0.0.0/8",))})
    with dial(port) as client:
        assert client.recv(10) == b""


async def test_two_processes_share_an_address_and_one_may_die(start_engine: Any, named: Any) -> None:
    engines, port = [start_engine(reuse_port=True) for _ in range(2)], free_port()
    for engine, name in zip(engines, "ab", strict=True):
        assert await engine.apply({tcp(port): Backends((named(name),))}) == {}
    seen = set()
    for _ in range(40):
        with dial(port) as client:
            seen.add(client.recv(10))
    assert seen == {b"a", b"b"}
    await engines[0].apply({})
    for _ in range(10):
        with dial(port) as client:
            assert client.recv(10) == b"b"


async def test_a_finished_connection_is_recorded(start_engine: Any, named: Any) -> None:
    records: list[Record] = []
    done = threading.Event()

    def keep(record: Record) -> None:
        records.append(record)
        done.set()

    engine, port, target = start_engine(hooks=Hooks(on_connection=keep)), free_port(), named("abc")
    await engine.apply({tcp(port): Backends((target,))})
    with dial(port) as client:
        peer = client.getsockname()
        client.sendall(b"12345")
        while len(client.recv(10, socket.MSG_PEEK)) < 8:
            time.sleep(0.01)
    assert await asyncio.to_thread(done.wait, 5)
    assert [(item.frontend, item.client, item.target, item.received, item.sent) for item in records] == [
        (tcp(port), peer, target, 5, 8)
    ]
