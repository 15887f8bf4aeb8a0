"""One client connection: reads request heads, routes each request, and hands it to an Exchange, one after the other."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from . import passing
from .exchange import Exchange
from .forwarding import Peer, own_answer, redirect, request_id_of
from .heads import MAX_HEAD, BadMessage, Request, parse_request, plain_path
from .proxy import Proxy
from .routes import Address, Route

MAX_AHEAD = 64 * 1024
"""Bytes of later requests kept while one is being answered."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timeouts:
    """Seconds; the defaults are ingress-nginx'."""

    head: float = 60.0
    """For a whole request head, from its first byte."""
    body: float = 60.0
    """Between two reads of a request's body."""
    keep_alive: float = 75.0
    tunnel: float = 3600.0
    linger: float = 5.0
    """For the rest of a request that was answered before it had come whole."""


class Downstream(asyncio.Protocol):
    """The protocol of a client's connection."""

    def __init__(self, proxy: Proxy, scheme: bytes, port: int) -> None:
        self.proxy = proxy
        self.client = ("", 0)
        self.peer = Peer(b"", scheme, b"%d" % port)
        self._transport: asyncio.Transport | None = None
        self._data = b""
        """What has come and isn't read yet: a head's beginning, or later requests."""
        self._exchange: Exchange | None = None
        self._paused = False
        self._full = False
        """The client doesn't read what it gets: no further request is begun."""
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._reading = False

    # What the event loop says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        peer = transport.get_extra_info("peername")
        if peer:
            self.client = str(peer[0]), int(peer[1])
            self.peer = Peer(str(peer[0]).encode(), self.peer.scheme, self.peer.port)
        if self.proxy.admit(self):
            self.wait(self.proxy.timeouts.head)
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is not None and exchange.tunnel:
            self.wait(self.proxy.timeouts.tunnel)
            exchange.client_tunnelled(data)
            return
        self._data = self._data + data if self._data else data
        self._read()

    def eof_received(self) -> bool:
        """A client that closes doesn't wait for its answer any more (nginx' 499): half-closed requests are too rare."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_lost()
        self.proxy.left(self)

    def pause_writing(self) -> None:
        self._full = True
        if self._exchange is not None:
            self._exchange.client_paused(True)

    def resume_writing(self) -> None:
        self._full = False
        if self._exchange is not None:
            self._exchange.client_paused(False)
        elif self._data:
            self.pause(False)
            self._read()

    # Reading.

    def _read(self) -> None:
        """Read as much as can be read now. Not re-entered: an answer given at once continues in the loop here."""
        if self._reading:
            return
        self._reading = True
        try:
            while self._data and self._transport is not None and self._step():
                pass
        except BadMessage as error:
            self._refuse(error)
        finally:
            self._reading = False

    def _step(self) -> bool:
        """Read one head, or a part of a body; False when more has to come, or has to wait."""
        exchange = self._exchange
        if exchange is None:
            return self._read_head()
        if exchange.body.done:
            if len(self._data) > MAX_AHEAD:
                self.pause(True)
            return False
        data, self._data = self._data, b""
        if not exchange.over:
            self.wait(self.proxy.timeouts.body)
        used = exchange.client_data(data)
        self._data = data[used:] if used < len(data) else b""
        return bool(self._data)

    def _read_head(self) -> bool:
        if self._full:
            if len(self._data) > MAX_AHEAD:
                self.pause(True)
            return False
        data = self._data
        if data[:1] in b"\r\n":  # empty lines before a request are skipped (RFC 9112, 2.2)
            data = self._data = data.lstrip(b"\r\n")
            if not data:
                return False
        cut = data.find(b"\r\n\r\n") + 4
        if cut < 4 or cut > MAX_HEAD:
            if len(data) > MAX_HEAD:
                raise BadMessage(431 if b"\r\n" in data else 414, "request head too large")
            if self._deadline == 0.0:
                self.wait(self.proxy.timeouts.head)
            return False
        self._data = data[cut:]
        self._begin(parse_request(data[:cut]), cut)
        return True

    def _begin(self, request: Request, size: int) -> None:
        proxy = self.proxy
        exchange = self._exchange = Exchange(self, request, request_id_of(request) or proxy.new_id(), self._clock())
        exchange.received = size
        plain = plain_path(request.path)
        route = proxy.table.find(request.host.decode("latin-1"), plain)
        if route is None:
            exchange.answer(404)
            return
        exchange.route, exchange.backend = route, route.backend.name
        if (moved := redirect(request, route, self.peer.scheme)) is not None:
            exchange.answer(*moved)
            return
        if route.plain or passing.may_pass(self, exchange, route, plain):
            self.forward(exchange, route, plain, proxy.turn(route.backend))

    def forward(self, exchange: Exchange, route: Route, plain: str, endpoints: list[Address]) -> None:
        if not endpoints:
            exchange.answer(503)
            return
        self.wait(route.options.read_timeout)
        exchange.forward(route, route.rewritten(exchange.request.path, plain), endpoints)

    def _refuse(self, error: BadMessage) -> None:
        """Answer what can't be understood and close: what follows can't be understood either."""
        _log.info("%s: %s", self.peer.address.decode(), error)
        self._data = b""
        exchange = self._exchange
        if exchange is not None and not exchange.over:
            exchange.keep_alive = False
            exchange.answer(error.status)
            self.close()
            return
        self.proxy.refused(error.status)
        self.write(own_answer(error.status, keep_alive=False))
        self.close()

    # What an exchange asks for.

    def write(self, data: bytes) -> None:
        if self._transport is not None and data and not self._transport.is_closing():
            self._transport.write(data)

    def pause(self, paused: bool) -> None:
        if self._transport is None or paused == self._paused or self._transport.is_closing():
            return
        self._paused = paused
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def active(self) -> None:
        """Something has come from the backend."""
        exchange = self._exchange
        if exchange is not None and exchange.route is not None:
            self.wait(self.proxy.timeouts.tunnel if exchange.tunnel else exchange.route.options.read_timeout)

    def sending(self) -> None:
        """The backend doesn't take what it is sent."""
        exchange = self._exchange
        if exchange is not None and exchange.route is not None and not exchange.tunnel and not exchange.status:
            self.wait(exchange.route.options.send_timeout)

    def tunnel(self) -> None:
        """The connection belongs to another protocol now; what has come already is the first of it."""
        self.pause(False)
        data, self._data = self._data, b""
        if data and self._exchange is not None:
            self._exchange.client_tunnelled(data)

    def finished(self, exchange: Exchange) -> None:
        """The answer is complete."""
        if self._transport is None or exchange is not self._exchange:
            return
        if exchange.body.done:
            self.next()
            return
        # The rest of the request is read and thrown away: closing now could destroy the answer on its way.
        self.wait(self.proxy.timeouts.linger)
        self.pause(False)
        if not exchange.keep_alive and self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def next(self) -> None:
        """The request is over on both sides."""
        exchange, self._exchange = self._exchange, None
        if exchange is None or not exchange.keep_alive or self.proxy.closing:
            self.close()
            return
        self.wait(self.proxy.timeouts.keep_alive)
        self.pause(False)
        if self._data:
            self._deadline = 0.0
            self._read()

    def close(self) -> None:
        """Close when everything is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self, *, reset: bool = False) -> None:
        """Break the connection. With `reset` the client can't take its end for the end of the answer."""
        if self._transport is None:
            return
        if reset and (sock := self._transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    @property
    def idle(self) -> bool:
        return self._exchange is None

    # Time.

    def wait(self, seconds: float) -> None:
        """Allow `seconds` from now for whatever comes next. One timer, moved only when it must fire earlier."""
        self._deadline = self._clock() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_at(self._deadline, self._check)

    def _check(self) -> None:
        self._timer = None
        if self._transport is None:
            return
        if self._clock() < self._deadline:
            self._timer = asyncio.get_running_loop().call_at(self._deadline, self._check)
        elif self._exchange is not None and not self._exchange.over:
            self._exchange.timed_out()
        elif self._data and self._exchange is None:
            self._refuse(BadMessage(408, "the request did not come whole in time"))
        else:
            self.abort()
