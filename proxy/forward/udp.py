"""UDP frontends: each client has a flow, a socket connected to one endpoint, until it has been silent for a while.

Flows are bounded: the one longest silent makes room. Answers leave from the very address that the client asked.
"""

from __future__ import annotations

import socket
import struct
from collections import OrderedDict

from .balance import Backends, Balancer, Target
from .loop import IN, Loop, Timer
from .records import Flow as Told
from .records import Frontend

FLOWS = 4096
"""Of one frontend."""
IDLE_SECONDS = 30.0
"""As the kernel's nf_conntrack_udp_timeout."""
_BURST = 32
"""Datagrams taken at once, before others have their turn."""
_DATAGRAM = 65536
_IP_PKTINFO = 8
_PKTINFO = struct.Struct("=I4s4s")

Origin = tuple[Target, bytes]
"""The client, and which of our addresses it asked (b"" when there is only one)."""


class Flow:
    __slots__ = ("last", "opened", "origin", "socket", "target")

    def __init__(self, origin: Origin, target: Target, now: float) -> None:
        self.origin, self.target, self.opened, self.last = origin, target, now, now
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self.socket.connect(target)
        except OSError:
            self.socket.close()
            raise


class UDPFrontend:
    """One bound socket and its flows."""

    def __init__(self, loop: Loop, sock: socket.socket, backends: Backends, start: int = 0) -> None:
        self._loop = loop
        self._socket = sock
        self._balancer = Balancer(backends, start)
        self._flows: OrderedDict[Origin, Flow] = OrderedDict()
        self._timer: Timer | None = None
        self._buffer = memoryview(bytearray(_DATAGRAM))
        self._wildcard = sock.getsockname()[0] == "0.0.0.0"
        if self._wildcard:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        loop.add(sock.fileno(), IN, self._on_datagrams)

    def update(self, backends: Backends) -> None:
        """Flows to endpoints that left are cut: UDP has no end of its own."""
        self._balancer.update(backends)
        for flow in [flow for flow in self._flows.values() if flow.target not in self._balancer]:
            self._drop(flow)

    def flow(self, frontend: Frontend, client: Target) -> Told | None:
        """The client's flow, as a trace is told of it."""
        for (origin, _), flow in self._flows.items():
            if origin == client:
                source, opened = flow.socket.getsockname(), flow.opened
                return Told(frontend, client, source, flow.target, self._balancer.targets, opened, opened, None)
        return None

    def close(self) -> None:
        self._loop.remove(self._socket.fileno())
        self._socket.close()
        for flow in list(self._flows.values()):
            self._drop(flow)
        if self._timer is not None:
            self._timer.cancel()

    def _on_datagrams(self, _: int) -> None:
        for _ in range(_BURST):
            try:
                size, origin = self._receive()
            except OSError:  # nothing more; or an ICMP error, which concerns one datagram only
                return
            flow = self._flow(origin)
            if flow is not None:
                self._pass_on(flow, self._buffer[:size])

    def _receive(self) -> tuple[int, Origin]:
        if not self._wildcard:
            size, client = self._socket.recvfrom_into(self._buffer)
            return size, (client, b"")
        size, ancillary, _, client = self._socket.recvmsg_into([self._buffer], 64)
        for level, kind, data in ancillary:
            if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
                return size, (client, _PKTINFO.unpack(data[: _PKTINFO.size])[2])
        return size, (client, b"")

    def _flow(self, origin: Origin) -> Flow | None:
        flow = self._flows.get(origin)
        if flow is None:
            return self._open(origin)
        flow.last = self._loop.now
        self._flows.move_to_end(origin)
        return flow

    def _open(self, origin: Origin) -> Flow | None:
        client, now = origin[0][0], self._loop.now
        choices = self._balancer.choices(client, now)
        if not choices or not self._balancer.admits(client):
            return None
        if len(self._flows) >= FLOWS:
            self._drop(next(iter(self._flows.values())))
        try:
            flow = Flow(origin, choices[0], now)
        except OSError:
            return None
        self._balancer.settled(client, flow.target, now)
        self._flows[origin] = flow
        self._loop.add(flow.socket.fileno(), IN, lambda _: self._on_answers(flow))
        if self._timer is None:
            self._timer = self._loop.after(IDLE_SECONDS, self._expire)
        return flow

    def _pass_on(self, flow: Flow, datagram: memoryview) -> None:
        try:
            flow.socket.send(datagram)
        except BlockingIOError:
            return
        except OSError:
            self._drop(flow)

    def _on_answers(self, flow: Flow) -> None:
        for _ in range(_BURST):
            try:
                size = flow.socket.recv_into(self._buffer)
            except BlockingIOError:
                return
            except OSError:  # refused: the next datagram finds another endpoint
                self._drop(flow)
                return
            flow.last = self._loop.now
            self._answer(flow.origin, self._buffer[:size])

    def _answer(self, origin: Origin, datagram: memoryview) -> None:
        client, asked = origin
        try:
            if asked:
                info = _PKTINFO.pack(0, asked, b"\0\0\0\0")
                self._socket.sendmsg([datagram], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, client)
            else:
                self._socket.sendto(datagram, client)
        except OSError:  # the client is gone, or its buffer full: datagrams may get lost
            return

    def _expire(self) -> None:
        now = self._loop.now
        for flow in list(self._flows.values()):
            if now - flow.last >= IDLE_SECONDS:
                self._drop(flow)
        self._timer = self._loop.after(IDLE_SECONDS / 2, self._expire) if self._flows else None

    def _drop(self, flow: Flow) -> None:
        if self._flows.pop(flow.origin, None) is not None:
            self._loop.remove(flow.socket.fileno())
            flow.socket.close()
