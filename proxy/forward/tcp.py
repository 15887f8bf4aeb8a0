"""One forwarded TCP connection: connect to an endpoint, then move bytes both ways without copying many.

Bytes go socket -> pipe -> socket by splice(2), a few by a read and a write. While a reader is slow, its bytes wait in
the pipe and nothing more is read from the other side. An end of stream is passed on in its direction only; a reset ends
both, as a reset.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Protocol

from .balance import Balancer, Target
from .loop import ERROR, HANGUP, IN, OUT, Loop, Timer
from .pipes import Pipe, Pipes
from .records import Flow, Frontend, Hooks, Record

CHUNK = 1 << 16
"""A pipe's capacity."""
SMALL = select.PIPE_BUF
"""Bytes that are copied; more goes through a pipe. An empty pipe always takes so many at once."""
_ROUNDS = 8
"""Chunks moved before other connections have their turn."""
_FLAGS = 1 | 2
"""SPLICE_F_MOVE | SPLICE_F_NONBLOCK"""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: close with a reset."""

CONNECT_SECONDS = 5.0
"""An endpoint that has not answered by then is passed over."""
HALF_CLOSED_SECONDS = 3600.0
"""kube-proxy's --conntrack-tcp-timeout-close-wait: how long one direction may stay silent after the other ended."""


class Owner(Protocol):
    """What a connection needs of the engine."""

    loop: Loop
    pipes: Pipes
    hooks: Hooks

    def ended(self, connection: Connection) -> None: ...
    def remember(self, flow: Flow) -> None: ...


class Half:
    """One direction. Invariant: `pipe` is held exactly while `pending` bytes wait in it."""

    __slots__ = ("bulk", "ended", "moved", "pending", "pipe", "shut", "sink", "source")

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink
        self.pipe: Pipe | None = None
        self.pending = 0
        self.moved = 0
        self.ended = False
        self.shut = False
        self.bulk = False
        """Much came the last time: a pipe is worth it."""

    def pump(self, pipes: Pipes) -> None:
        """Move what can be moved now. Raises OSError when either side broke."""
        if not (self.pending or self.ended or self.bulk) and self._copy(pipes):
            return
        before = self.moved
        self._splice(pipes)
        self.bulk = self.moved - before >= SMALL

    def _copy(self, pipes: Pipes) -> bool:
        """One read and one write, cheaper than a pipe for what is small. False: there is more than that."""
        try:
            data = os.read(self.source, SMALL)
        except BlockingIOError:
            return True
        if not data:
            self.ended = True
            return True
        self.moved += len(data)
        try:
            sent = os.write(self.sink, data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return len(data) < SMALL
        self.pipe = pipes.take()
        self.pending = os.write(self.pipe.writer, data[sent:])
        return True

    def _splice(self, pipes: Pipes) -> None:
        pipe = self.pipe or pipes.take()
        pending, full = self.pending, True
        try:
            for _ in range(_ROUNDS):
                if not pending:
                    if self.ended:
                        break
                    pending = os.splice(self.source, pipe.writer, CHUNK, flags=_FLAGS)
                    if not pending:
                        self.ended = True
                        break
                    self.moved += pending
                    full = pending >= CHUNK // 4
                sent = os.splice(pipe.reader, self.sink, pending, flags=_FLAGS)
                pending -= sent
                if not (pending or full):
                    break
        except BlockingIOError:
            pass
        finally:
            self.pending = pending
            self.pipe = pipe if pending else None
            if not pending:
                pipes.give_back(pipe)

    def drop(self, pipes: Pipes) -> None:
        if self.pipe is not None:
            pipes.discard(self.pipe)
            self.pipe = None


class Connection:
    """From `accept` to the end of both directions."""

    __slots__ = (
        "_balancer",
        "_choices",
        "_connected",
        "_down",
        "_events",
        "_handlers",
        "_opened",
        "_owner",
        "_timer",
        "_up",
        "client",
        "frontend",
        "peer",
        "target",
        "upstream",
    )

    def __init__(
        self, owner: Owner, frontend: Frontend, balancer: Balancer, client: socket.socket, peer: Target
    ) -> None:
        self.client, self.peer = client, peer
        self.upstream: socket.socket | None = None
        self._owner, self.frontend, self._balancer = owner, frontend, balancer
        self._opened = owner.loop.now
        self._choices: Sequence[Target] = balancer.choices(peer[0], self._opened)
        self.target: Target | None = None
        self._connected: float | None = None
        self._timer: Timer | None = None
        self._up: Half | None = None
        self._down: Half | None = None
        self._events: dict[int, int] = {}
        self._handlers: dict[int, Callable[[int], None]] = {}

    def connect(self) -> None:
        """Try the next endpoint; without any left, the client is reset."""
        while self._choices:
            self.target, self._choices = self._choices[0], self._choices[1:]
            try:
                upstream = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            except OSError:
                break
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            upstream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            number = upstream.connect_ex(self.target)
            if number in (0, errno.EINPROGRESS):
                self.upstream = upstream
                self._owner.loop.add(upstream.fileno(), OUT, self._on_connect)
                self._timer = self._owner.loop.after(CONNECT_SECONDS, self._give_up)
                return
            upstream.close()
            self._failed()
        self.target = None
        self.close(reset=True)

    def _on_connect(self, _: int) -> None:
        assert self.upstream is not None
        if self.upstream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._give_up()
            return
        self._cancel_timer()
        assert self.target is not None
        loop = self._owner.loop
        self._connected = loop.now
        self._balancer.settled(self.peer[0], self.target, loop.now)
        client, upstream = self.client.fileno(), self.upstream.fileno()
        self._up, self._down = Half(client, upstream), Half(upstream, client)
        self._events = {client: IN, upstream: IN}
        self._handlers = {
            client: self._handler(self._up, self._down),
            upstream: self._handler(self._down, self._up),
        }
        loop.replace(upstream, IN, self._handlers[upstream])
        loop.add(client, IN, self._handlers[client])
        self._advance((self._up,))

    def _give_up(self) -> None:
        """This endpoint refused, or let us wait too long."""
        self._cancel_timer()
        self._close_upstream()
        self._failed()
        self.connect()

    def _failed(self) -> None:
        hook = self._owner.hooks.on_failure
        if hook is not None and self.target is not None:
            hook(self.target)

    def _handler(self, incoming: Half, outgoing: Half) -> Callable[[int], None]:
        """For the socket that `incoming` reads from and `outgoing` writes to."""

        def on_event(events: int) -> None:
            if events & (ERROR | HANGUP) and incoming.ended:
                self.close(reset=True)
            elif events & OUT:
                self._advance((outgoing, incoming) if events & ~OUT else (outgoing,))
            else:
                self._advance((incoming,))

        return on_event

    def _advance(self, halves: tuple[Half, ...]) -> None:
        try:
            for half in halves:
                half.pump(self._owner.pipes)
                if half.ended and not half.pending and not half.shut:
                    self._pass_end_on(half)
        except OSError:
            self.close(reset=True)
            return
        up, down = self._up, self._down
        assert up is not None
        assert down is not None
        if up.shut and down.shut:
            self.close()
            return
        self._want(up.source, (0 if up.ended or up.pending else IN) | (OUT if down.pending else 0))
        self._want(down.source, (0 if down.ended or down.pending else IN) | (OUT if up.pending else 0))

    def _pass_end_on(self, half: Half) -> None:
        half.shut = True
        sink = self.client if half is self._down else self.upstream
        assert sink is not None
        sink.shutdown(socket.SHUT_WR)
        self._watch_half_closed(-1)

    def _watch_half_closed(self, moved: int) -> None:
        """End a connection whose open direction has been silent for too long."""
        assert self._up is not None
        assert self._down is not None
        total = self._up.moved + self._down.moved
        if total == moved:
            self.close(reset=True)
            return
        self._cancel_timer()
        self._timer = self._owner.loop.after(HALF_CLOSED_SECONDS, lambda: self._watch_half_closed(total))

    def _want(self, fd: int, events: int) -> None:
        """Without a wish the socket is not watched at all: epoll always reports a hangup, again and again."""
        before = self._events[fd]
        if before == events:
            return
        self._events[fd] = events
        if not events:
            self._owner.loop.remove(fd)
        elif not before:
            self._owner.loop.add(fd, events, self._handlers[fd])
        else:
            self._owner.loop.modify(fd, events)

    def close(self, *, reset: bool = False) -> None:
        """End it. `reset`: the client and the endpoint learn that it was cut off."""
        self._cancel_timer()
        self._owner.remember(self.flow(self._owner.loop.now))
        if reset:
            for sock in (self.client, self.upstream):
                if sock is not None:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._owner.loop.remove(self.client.fileno())
        self.client.close()
        self._close_upstream()
        for half in (self._up, self._down):
            if half is not None:
                half.drop(self._owner.pipes)
        self._owner.ended(self)
        hook = self._owner.hooks.on_connection
        if hook is not None:
            hook(self._record())

    def flow(self, closed: float | None = None) -> Flow:
        """What a trace is told: of one that is open, or that is just about to be `closed`."""
        source: Target | None = None
        if self._connected is not None and self.upstream is not None:
            source = self.upstream.getsockname()
        return Flow(
            self.frontend, self.peer, source, self.target, self._balancer.targets, self._opened, self._connected, closed
        )

    def _record(self) -> Record:
        received, sent = (half.moved if half else 0 for half in (self._up, self._down))
        now = self._owner.loop.now
        return Record(self.frontend, self.peer, self.target, self._opened, now, received, sent)

    def _close_upstream(self) -> None:
        if self.upstream is not None:
            self._owner.loop.remove(self.upstream.fileno())
            self.upstream.close()
            self.upstream = None

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
