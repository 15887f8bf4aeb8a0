"""Connections to backends: opened when needed, kept for the next request, closed when their endpoint is gone."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol, cast

from panal.addresses import real_port

from .heads import MAX_HEAD
from .routes import Address, UpstreamTLS

MAX_IDLE = 64
"""Connections kept for each endpoint."""
IDLE_SECONDS = 60.0


class Exchange(Protocol):
    """What a connection to a backend works for; `downstream.py` has it."""

    def upstream_head(self, head: bytes) -> bool:
        """A whole response head, the empty line included. True when another head follows (1xx)."""

    def upstream_data(self, data: bytes) -> bool:
        """Bytes behind the head; True when the response is complete and the connection may be kept."""

    def upstream_lost(self, error: Exception | None) -> None: ...
    def upstream_paused(self, paused: bool) -> None: ...


class Upstream(asyncio.Protocol):
    """One connection to one endpoint: idle in the pool, or working for one exchange."""

    def __init__(self, pool: Pool, address: Address, tls: UpstreamTLS | None = None) -> None:
        self.address = address
        self.tls = tls
        self.fresh = True
        """No request has been sent on it yet: when it fails, the endpoint failed."""
        self.idle_since = 0.0
        self._pool = pool
        self._exchange: Exchange | None = None
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._in_head = True
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def local(self) -> Address | None:
        """Our own end of the connection."""
        found = self._transport.get_extra_info("sockname") if self._transport is not None else None
        return (str(found[0]), int(found[1])) if found else None

    def begin(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._in_head = True

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def pause(self, paused: bool) -> None:
        if self._transport is None or paused == self._paused or self._transport.is_closing():
            return
        self._paused = paused
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def end(self) -> None:
        """The exchange is over and the connection is good for another: keep it."""
        self._exchange = None
        self.fresh = False
        self._head = b""
        self.pause(False)
        self._pool.keep(self)

    def abort(self) -> None:
        """Give the connection up, whatever is under way."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:  # an idle backend that talks: nothing it says belongs to a request
            self.abort()
            return
        while self._in_head:
            if self._head:
                data, self._head = self._head + data, b""
            cut = data.find(b"\r\n\r\n") + 4
            if cut > MAX_HEAD or (cut < 4 and len(data) > MAX_HEAD):
                self.abort()
                exchange.upstream_lost(ValueError("response head too large"))
                return
            if cut < 4:
                self._head = data
                return
            head, data = data[:cut], data[cut:]
            self._in_head = exchange.upstream_head(head)
            if self._exchange is None:
                return
            if self._in_head and not data:
                return
        exchange.upstream_data(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.upstream_lost(exc)
        else:
            self._pool.drop(self)

    def pause_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.upstream_paused(True)

    def resume_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.upstream_paused(False)


@lru_cache(128)
def _context(tls: UpstreamTLS) -> ssl.SSLContext:
    """Raises ssl.SSLError, an OSError, for what is no certificate."""
    return ssl.create_default_context(cadata=tls.ca or None)


class Pool:
    """The idle connections by endpoint, the most recently used first."""

    def __init__(self, connect_port: Callable[[int], int] = real_port) -> None:
        self._idle: dict[Address, list[Upstream]] = {}
        """Plain ones and those with TLS together: a port of a pod speaks one of the two."""
        self._sweep: asyncio.TimerHandle | None = None
        self._port = connect_port
        self._closed = False

    def take(self, address: Address, tls: UpstreamTLS | None = None) -> Upstream | None:
        idle = self._idle.get(address)
        while idle:
            upstream = idle.pop()
            if upstream.usable and upstream.tls == tls:
                return upstream
            upstream.abort()
        return None

    async def connect(self, address: Address, seconds: float, tls: UpstreamTLS | None = None) -> Upstream:
        """A new connection; raises OSError or TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            host, port = address
            if host.startswith("127."):  # ports are shifted in the loopback network only
                port = self._port(port)
            _, upstream = await loop.create_connection(
                lambda: Upstream(self, address, tls),
                host,
                port,
                ssl=_context(tls) if tls is not None else None,
                server_hostname=tls.name if tls is not None else None,
            )
        return upstream

    def keep(self, upstream: Upstream) -> None:
        idle = self._idle.setdefault(upstream.address, [])
        if len(idle) >= MAX_IDLE or not upstream.usable or self._closed:
            upstream.abort()
            return
        loop = asyncio.get_running_loop()
        upstream.idle_since = loop.time()
        idle.append(upstream)
        if self._sweep is None:
            self._sweep = loop.call_later(IDLE_SECONDS, self._sweep_idle)

    def drop(self, upstream: Upstream) -> None:
        idle = self._idle.get(upstream.address)
        if idle and upstream in idle:
            idle.remove(upstream)

    def retain(self, addresses: frozenset[Address]) -> None:
        """Close what is kept to any other endpoint."""
        for address in [address for address in self._idle if address not in addresses]:
            for upstream in self._idle.pop(address):
                upstream.abort()

    def close(self) -> None:
        self._closed = True
        self.retain(frozenset())
        if self._sweep is not None:
            self._sweep.cancel()

    def __len__(self) -> int:
        return sum(map(len, self._idle.values()))

    def _sweep_idle(self) -> None:
        loop = asyncio.get_running_loop()
        horizon = loop.time() - IDLE_SECONDS
        for address, idle in list(self._idle.items()):
            for upstream in [upstream for upstream in idle if upstream.idle_since <= horizon]:
                idle.remove(upstream)
                upstream.abort()
            if not idle:
                del self._idle[address]
        self._sweep = loop.call_later(IDLE_SECONDS / 2, self._sweep_idle) if self._idle else None
