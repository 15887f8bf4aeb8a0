"""What a trace is told of forwarded connections: which is whose, open or ended, and no more than a bounded number."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from panal.proxy.forward import engine as engines
from panal.proxy.forward.balance import Backends
from panal.proxy.forward.engine import Engine
from panal.proxy.forward.records import Flow, Frontend

from ...ports import free_port


async def test_each_connection_is_told_with_its_own_way_while_open_and_after(start_engine: Any, serve: Any) -> None:
    engine, port = start_engine(), free_port()
    seen: dict[tuple[str, int], tuple[str, int]] = {}
    told = threading.Event()

    def remember(connection: socket.socket) -> None:
        seen[connection.getpeername()] = connection.getsockname()
        connection.sendall(b"x")
        connection.recv(1)
        told.wait(5)

    targets = (serve(remember).address, serve(remember).address)
    await engine.apply({Frontend("TCP", "127.0.0.1", port): Backends(targets)})
    clients = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(4)]
    names = [client.getsockname() for client in clients]
    assert [client.recv(1) for client in clients] == [b"x"] * 4

    async def flows() -> list[Flow]:
        found = [await engine.flow(name, ("127.0.0.1", port)) for name in names]
        return [flow for flow in found if flow is not None]

    for flow in (opened := await flows()):
        assert flow.source is not None
        assert seen[flow.source] == flow.target, "the endpoint that saw this source is the one that was told"
        assert (flow.candidates, flow.document()["state"]) == (targets, "open")
    assert len({flow.source for flow in opened}) == 4
    assert await engine.flow(names[0], ("127.0.0.1", port + 1)) is None
    told.set()
    for client in clients:
        client.close()
    while await engine.connections():
        pass
    assert [(flow.source, flow.target) for flow in await flows()] == [(flow.source, flow.target) for flow in opened]
    assert {flow.document()["state"] for flow in await flows()} == {"ended"}


async def test_a_connection_that_no_endpoint_took_is_told_as_failed(start_engine: Any) -> None:
    engine, port = start_engine(), free_port()
    await engine.apply({Frontend("TCP", "127.0.0.1", port): Backends((("127.0.0.1", free_port()),))})
    with socket.socket() as client:
        client.bind(("127.0.0.1", 0))
        name = client.getsockname()
        with contextlib.suppress(ConnectionResetError):
            client.connect(("127.0.0.1", port))
        while (flow := await engine.flow(name, ("127.0.0.1", port))) is None or flow.closed is None:
            pass
    assert (flow.document()["state"], flow.source, flow.target) == ("failed", None, None)


def test_what_ended_is_forgotten_in_time() -> None:
    engine = Engine()
    frontend = Frontend("TCP", "127.0.0.1", 80)
    for number in range(engines.FLOWS_REMEMBERED + 1):
        engine.remember(Flow(frontend, ("127.0.0.1", number), None, None, (), 0.0, None, 1.0))
    assert engine._find(("127.0.0.1", 0), ("127.0.0.1", 80)) is None
    assert engine._find(("127.0.0.1", 1), ("127.0.0.1", 80)) is not None
