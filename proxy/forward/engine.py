"""The forwarding engine: a table of frontends and their endpoints, made true by one thread.

`apply` declares the whole table; the engine opens, updates and closes what differs. Connections that are established
stay as long as their endpoint is named (`Backends.leaving`); UDP flows to an endpoint that left are cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from .balance import Backends, Balancer, Target
from .loop import IN, Loop, Timer
from .pipes import Pipes
from .records import NO_HOOKS, Flow, Frontend, Hooks
from .tcp import Connection
from .udp import UDPFrontend

_log = logging.getLogger(__name__)

_ACCEPTED = 64
"""Connections taken from one listener before others have their turn."""
_RESERVED = 256
"""Descriptors left for everything that is not a forwarded connection."""
_PAUSE = 0.1
"""Seconds without accepting after descriptors ran out."""
_MOST = 100_000
FLOWS_REMEMBERED = 4096
"""Ended connections that can still be traced: some 2 MiB, once so many have been."""


def connection_limit() -> int:
    """How many connections this process' descriptors allow, after raising their limit as far as it may go."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft == resource.RLIM_INFINITY:
        return _MOST
    return max(8, min(_MOST, (soft - _RESERVED) // 4))


class TCPFrontend:
    """One frontend's listening sockets."""

    def __init__(
        self, engine: Engine, frontend: Frontend, sockets: Sequence[socket.socket], backends: Backends, start: int
    ) -> None:
        self._engine, self._frontend, self._sockets = engine, frontend, sockets
        self._balancer = Balancer(backends, start)
        self.resume()

    def update(self, backends: Backends) -> None:
        self._balancer.update(backends)

    def pause(self) -> None:
        for sock in self._sockets:
            self._engine.loop.remove(sock.fileno())

    def resume(self) -> None:
        for sock in self._sockets:
            self._engine.loop.add(sock.fileno(), IN, self._acceptor(sock))

    def close(self) -> None:
        self.pause()
        for sock in self._sockets:
            sock.close()

    def _acceptor(self, listener: socket.socket) -> Callable[[int], None]:
        return lambda _: self._accept(listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTED):
            try:
                client, peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._engine.pause(str(error.strerror))
                    return
                continue
            if not self._balancer.admits(peer[0]):
                client.close()
                continue
            client.setblocking(False)
            if not self._engine.began(Connection(self._engine, self._frontend, self._balancer, client, peer)):
                return


class Engine:
    """Start it, `apply` tables from an asyncio program, `close` it."""

    def __init__(
        self, name: str = "forward", hooks: Hooks = NO_HOOKS, *, reuse_port: bool = False, start: int = 0,
        connections: int | None = None,
    ) -> None:  # fmt: skip
        """`reuse_port`: other processes bind the same addresses and take a share. `start`: whose turn is first."""
        self.loop = Loop()
        self.pipes = Pipes()
        self.hooks = hooks
        self._name = name
        self._reuse_port, self._start = reuse_port, start
        self._limit = connection_limit() if connections is None else connections
        self._frontends: dict[Frontend, TCPFrontend | UDPFrontend] = {}
        self._handed: dict[str, Sequence[socket.socket]] = {}
        self._connections: set[Connection] = set()
        self._table: dict[Frontend, Backends] = {}
        self._paused: Timer | None = None
        self._full = False
        self._ended: deque[Flow] = deque(maxlen=FLOWS_REMEMBERED)

    def start(self) -> None:
        self.loop.start(self._name)

    def hand_over(self, name: str, sockets: Sequence[socket.socket]) -> None:
        """Listening sockets that frontends of this name accept on. Before the table that names them."""
        for sock in sockets:
            sock.setblocking(False)
        self._handed[name] = sockets

    async def apply(self, table: Mapping[Frontend, Backends]) -> dict[Frontend, OSError]:
        """Make this the whole table; returns the frontends that could not be opened, and why."""
        wanted = dict(table)
        return await asyncio.wrap_future(self.loop.call(lambda: self._apply(wanted)))

    async def connections(self) -> int:
        """How many are open now."""
        return await asyncio.wrap_future(self.loop.call(lambda: len(self._connections)))

    async def flow(self, client: Target, destination: Target, protocol: str = "TCP") -> Flow | None:
        """The connection from `client` to `destination`, open or lately ended; the latest, should there be several.

        Of UDP, the flow that is open.
        """
        find = self._find_udp if protocol == "UDP" else self._find
        return await asyncio.wrap_future(self.loop.call(lambda: find(client, destination)))

    def _find_udp(self, client: Target, destination: Target) -> Flow | None:
        for frontend, serving in self._frontends.items():
            if isinstance(serving, UDPFrontend) and _is_at(frontend, destination):
                if (found := serving.flow(frontend, client)) is not None:
                    return found
        return None

    def _find(self, client: Target, destination: Target) -> Flow | None:
        for connection in self._connections:
            if connection.peer == client and _is_at(connection.frontend, destination):
                return connection.flow()
        for flow in reversed(self._ended):
            if flow.client == client and _is_at(flow.frontend, destination):
                return flow
        return None

    def remember(self, flow: Flow) -> None:
        self._ended.append(flow)

    def close(self) -> None:
        """Stop forwarding and close everything. The engine can't be started again."""
        self.loop.call(self._close).result()
        self.loop.stop()

    def began(self, connection: Connection) -> bool:
        """Whether there is room for another one after this one."""
        self._connections.add(connection)
        connection.connect()
        if len(self._connections) < self._limit:
            return True
        if not self._full:
            self._full = True
            self._each_tcp(TCPFrontend.pause)
            _log.warning("%d connections: accepting no more until some end", len(self._connections))
        return False

    def ended(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if self._full and len(self._connections) < self._limit:
            self._full = False
            if self._paused is None:
                self._each_tcp(TCPFrontend.resume)

    def pause(self, reason: str) -> None:
        """Accept nothing for a moment: what waits, waits in the kernel."""
        if self._paused is None:
            _log.warning("accepting pauses: %s", reason)
            if not self._full:
                self._each_tcp(TCPFrontend.pause)
            self._paused = self.loop.after(_PAUSE, self._unpause)

    def _unpause(self) -> None:
        self._paused = None
        if not self._full:
            self._each_tcp(TCPFrontend.resume)

    def _each_tcp(self, action: Callable[[TCPFrontend], None]) -> None:
        for frontend in self._frontends.values():
            if isinstance(frontend, TCPFrontend):
                action(frontend)

    def _apply(self, wanted: dict[Frontend, Backends]) -> dict[Frontend, OSError]:
        failed: dict[Frontend, OSError] = {}
        open_now = {frontend: backends for frontend, backends in wanted.items() if backends.targets}
        for frontend in [frontend for frontend in self._frontends if frontend not in open_now]:
            self._frontends.pop(frontend).close()
        self._cut(wanted)
        for frontend, backends in open_now.items():
            if (present := self._frontends.get(frontend)) is None:
                try:
                    self._frontends[frontend] = self._open(frontend, backends)
                except OSError as error:
                    failed[frontend] = error
            elif self._table.get(frontend) != backends:
                present.update(backends)
        self._table = wanted
        return failed

    def _cut(self, wanted: Mapping[Frontend, Backends]) -> None:
        """Reset the connections to endpoints that are gone."""
        lost: dict[Frontend, set[Target]] = {}
        for frontend, before in self._table.items():
            after = wanted.get(frontend)
            if before is after or before == after or before.leaving is None:
                continue
            left = {*after.targets, *(after.leaving or ())} if after is not None else set()
            if gone := {*before.targets, *before.leaving} - left:
                lost[frontend] = gone
        if not lost:
            return
        for connection in [*self._connections]:
            if connection.target in lost.get(connection.frontend, ()):
                connection.close(reset=True)

    def _open(self, frontend: Frontend, backends: Backends) -> TCPFrontend | UDPFrontend:
        if frontend.name:
            sockets = [sock.dup() for sock in self._handed.get(frontend.name, ())]
        else:
            sockets = [self._bind(frontend)]
        if frontend.protocol == "UDP":
            return UDPFrontend(self.loop, sockets[0], backends, self._start)
        opened = TCPFrontend(self, frontend, sockets, backends, self._start)
        if self._full or self._paused is not None:
            opened.pause()
        return opened

    def _bind(self, frontend: Frontend) -> socket.socket:
        tcp = frontend.protocol == "TCP"
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if self._reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if tcp:  # inherited by accepted sockets
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.bind((frontend.address, frontend.port))
            if tcp:
                sock.listen(4096)
        except OSError:
            sock.close()
            raise
        return sock

    def _close(self) -> None:
        for frontend in self._frontends.values():
            frontend.close()
        self._frontends.clear()
        for connection in list(self._connections):
            connection.close(reset=True)
        for sockets in self._handed.values():
            for sock in sockets:
                sock.close()
        self.pipes.close()


def _is_at(frontend: Frontend, destination: Target) -> bool:
    """Handed-over sockets are outside the cluster's network, where another port may lead to them."""
    return bool(frontend.name) or (frontend.port == destination[1] and frontend.address in (destination[0], "0.0.0.0"))
