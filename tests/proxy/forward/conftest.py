"""Real servers to forward to, on 127.0.0.1, and an engine that is closed after each test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from panal.proxy.forward.engine import Engine

Serve = Callable[[socket.socket], None]


class Server:
    """Accepts connections and hands each to `serve` on a thread."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._socket.getsockname()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._serve(connection)
            except OSError:
                return

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Serve], Server]]:
    servers: list[Server] = []

    def start(function: Serve) -> Server:
        servers.append(Server(function))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def named(serve: Callable[[Serve], Server]) -> Callable[[str], tuple[str, int]]:
    """A server that says its name, then echoes."""

    def start(name: str) -> tuple[str, int]:
        def talk(connection: socket.socket) -> None:
            connection.sendall(name.encode())
            while data := connection.recv(65536):
                connection.sendall(data)

        return serve(talk).address

    return start


@pytest.fixture
def start_engine() -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def start(**options: object) -> Engine:
        engine = Engine(**options)  # type: ignore[arg-type]
        engine.start()
        engines.append(engine)
        return engine

    yield start
    for engine in engines:
        engine.close()
