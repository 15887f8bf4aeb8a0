"""Forwarded UDP: a client keeps its endpoint while it talks; the answers come from where it asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from panal.proxy.forward import udp
from panal.proxy.forward.balance import Backends
from panal.proxy.forward.records import Frontend

from ...ports import free_port


@pytest.fixture
def echo() -> Iterator[Callable[[str], tuple[str, int]]]:
    """A UDP server that answers each datagram with its name before it."""
    sockets: list[socket.socket] = []

    def start(name: str) -> tuple[str, int]:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 0))
        sockets.append(server)

        def run() -> None:
            while True:
                data, peer = server.recvfrom(65536)
                if data == b"stop":
                    return
                server.sendto(name.encode() + b":" + data, peer)

        threading.Thread(target=run, daemon=True).start()
        address: tuple[str, int] = server.getsockname()
        return address

    yield start
    for server in sockets:
        server.sendto(b"stop", server.getsockname())
        server.close()


def client() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    return sock


def ask(sock: socket.socket, port: int, text: bytes = b"hi", to: str = "127.0.0.1") -> bytes:
    sock.sendto(text, (to, port))
    answer, peer = sock.recvfrom(65536)
    assert peer == (to, port)
    return answer


async def test_clients_go_to_the_endpoints_in_turn_and_stay(start_engine: Any, echo: Any) -> None:
    engine, port = start_engine(), free_port()
    await engine.apply({Frontend("UDP", "127.0.0.1", port): Backends((echo("a"), echo("b")))})
    with client() as first, client() as second:
        assert [ask(first, port), ask(second, port), ask(first, port)] == [b"a:hi", b"b:hi", b"a:hi"]
        assert ask(first, port, b"x" * 9000) == b"a:" + b"x" * 9000


async def test_a_flow_leaves_an_endpoint_that_left(start_engine: Any, echo: Any) -> None:
    engine, port = start_engine(), free_port()
    frontend, first, second = Frontend("UDP", "127.0.0.1", port), echo("a"), echo("b")
    await engine.apply({frontend: Backends((first,))})
    with client() as sock:
        assert ask(sock, port) == b"a:hi"
        await engine.apply({frontend: Backends((second,))})
        assert ask(sock, port) == b"b:hi"


async def test_answers_leave_from_the_address_that_was_asked(start_engine: Any, echo: Any) -> None:
    engine, port = start_engine(), free_port()
    await engine.apply({Frontend("UDP", "0.0.0.0", port): Backends((echo("a"),))})
    with client() as sock:
        assert ask(sock, port, to="127.0.0.1") == b"a:hi"
        assert ask(sock, port, to="127.77.0.1") == b"a:hi"


async def test_flows_are_bounded_and_the_oldest_makes_room(
    start_engine: Any, echo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udp, "FLOWS", 4)
    engine, port = start_engine(), free_port()
    frontend = Frontend("UDP", "127.0.0.1", port)
    await engine.apply({frontend: Backends((echo("a"),))})
    for _ in range(20):
        with client() as sock:
            assert ask(sock, port) == b"a:hi"
    assert len(engine._frontends[frontend]._flows) == 4


async def test_silent_flows_are_forgotten(start_engine: Any, echo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "IDLE_SECONDS", 0.1)
    engine, port = start_engine(), free_port()
    frontend = Frontend("UDP", "127.0.0.1", port)
    await engine.apply({frontend: Backends((echo("a"),))})
    with client() as sock:
        ask(sock, port)
        flows = engine._frontends[frontend]._flows
        deadline = threading.Event()
        for _ in range(50):
            if not flows:
                break
            deadline.wait(0.02)
        assert not flows
        assert ask(sock, port) == b"a:hi"


async def test_a_refused_flow_finds_another_endpoint(start_engine: Any, echo: Any) -> None:
    engine, port = start_engine(), free_port()
    dead = ("127.0.0.1", free_port())
    await engine.apply({Frontend("UDP", "127.0.0.1", port): Backends((dead, echo("b")))})
    with client() as sock:
        sock.settimeout(0.3)
        sock.sendto(b"lost", ("127.0.0.1", port))
        with pytest.raises(TimeoutError):
            sock.recv(100)
        assert ask(sock, port) == b"b:hi"
