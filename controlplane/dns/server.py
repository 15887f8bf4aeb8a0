"""The sockets of a DNS server: UDP in batches straight from the event loop, TCP with pipelining (RFC 7766).

What to say is `answer.py`'s; here is the order: finished answers, zones, upstream.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, cast

from panal.sockets import listening
from panal.tasks import spawn

from . import wire
from .answer import refuse
from .cache import AnswerCache, pack_rotations
from .forward import Forwarder, Unreachable
from .metrics import RCODES, Kind, Metrics, Series, type_name
from .plan import Asked, Plan
from .rewrite import rewritten
from .wire import Query, Reply
from .zone import Zone, Zones

BATCH = 64
"""Datagrams answered before the loop may do something else."""
RECEIVE_BUFFER = 1 << 20
TCP_IDLE = 10.0
MAX_TCP_CONNECTIONS = 256
HINFO = 13
UPDATE = 0x28
"""The opcode of a dynamic update, in a message's third byte, where a question has no flag."""
MAX_WAITING = 2000
"""Questions waiting for upstreams; more are refused with SERVFAIL."""

_log = logging.getLogger(__name__)
Send = Callable[[bytes], None]


class Responder:
    """One message in, one message out: at once, or later when an upstream has to be asked."""

    def __init__(self, zones: Zones | None = None, forwarder: Forwarder | None = None, port: int = 53) -> None:
        self.plans: Mapping[bytes, Plan] = {wire.ROOT: Plan(zones or Zones(()), forwarder)}
        self.cache = AnswerCache()
        self.metrics = Metrics(f"dns://:{port}")
        self.watched: Callable[[bytes], None] | None = None
        """Told of questions for HINFO, which nobody asks but the search for loops."""
        self.update: Callable[[bytes], bytes | None] | None = None
        """Answers dynamic updates (RFC 2136), where they are taken."""
        self.queries = 0
        self._waiting = 0

    def follow(self, plans: Mapping[bytes, Plan]) -> None:
        """From now on these server blocks hold, by zone."""
        self.plans = plans
        self.changed()

    def changed(self) -> None:
        """The zones say something else now."""
        self.cache.clear()

    def plan(self, name: bytes) -> Plan | None:
        """The block of the closest zone."""
        for parent in wire.ancestry(name):
            if (found := self.plans.get(parent)) is not None:
                return found
        return None

    def respond(self, data: bytes, send: Send, *, tcp: bool = False, peer: Any = None) -> None:
        """Answer `data` through `send`, unless it deserves no answer."""
        self.queries += 1
        if self.update is not None and len(data) > 12 and data[2] & 0xF8 == UPDATE:
            if (said := self.update(data)) is not None:
                send(said)
            return
        try:
            query = wire.parse_query(data)
        except wire.FormatError:
            if (error := wire.pack_error(data, wire.FORMERR)) is not None:
                send(error)
            return
        limit = wire.MAX_TCP if tcp else min(query.udp_size, wire.MAX_UDP)
        plan = self.plan(query.name)
        asked = Asked(query, len(data), "tcp" if tcp else "udp", peer, time.perf_counter())
        if (refusal := refuse(query)) is not None or plan is None:
            if tcp and query.type == wire.AXFR and (zone := self._transferable(query)) is not None:
                send(_transfer(query, zone))
                return
            self._finish(asked, plan, wire.pack(query, refusal or Reply(wire.REFUSED), limit), send, "")
            return
        if query.type == HINFO and self.watched is not None:
            self.watched(query.name)
        if plan.rewrites:
            query = replace(query, name=rewritten(query.name, plan.rewrites))
        by, reply = plan.answer(query)
        if reply is not None and reply.chase is None:
            packed = pack_rotations(query, reply, limit) if plan.rotate else [wire.pack(query, reply, limit)]
            if query.edns_plain and not tcp and not plan.log:
                self.cache.put(data, packed, self._series(asked, plan, packed[0], by))
            self._finish(asked, plan, packed[0], send, by)
        elif plan.forwarder is None and not (reply is not None and reply.chase):
            code = wire.REFUSED if reply is None else reply.rcode
            self._finish(asked, plan, wire.pack(query, reply or Reply(code), limit), send, by)
        elif self._waiting >= MAX_WAITING:
            self._finish(asked, plan, wire.pack(query, Reply(wire.SERVFAIL), limit), send, "forward")
        else:
            self._waiting += 1
            spawn(self._forward(asked, query, plan, reply, limit, send), name=f"forward {wire.text(query.name)}")

    async def _forward(
        self, asked: Asked, query: Query, plan: Plan, reply: Reply | None, limit: int, send: Send
    ) -> None:
        target, by = (query.name, "forward") if reply is None or reply.chase is None else (reply.chase, "kubernetes")
        forwarder = plan.forwarder
        if target != query.name and (other := self.plan(target)) is not None:
            forwarder = other.forwarder
        try:
            if forwarder is None:
                raise Unreachable(wire.text(target))
            message = await forwarder.resolve(target, query.type)
        except Unreachable as error:
            if plan.errors:
                _log.error("plugin/errors: 2 %s. %s: %s", wire.text(target), type_name(query.type), error)
            failed = replace(reply or Reply(), rcode=wire.SERVFAIL)
            self._finish(asked, plan, wire.pack(query, failed, limit), send, by)
            return
        finally:
            self._waiting -= 1
        said = _relay(query, message, limit) if reply is None else _append(query, reply, message, limit)
        self._finish(asked, plan, said, send, by)

    def _finish(self, asked: Asked, plan: Plan | None, message: bytes, send: Send, by: str) -> None:
        send(message)
        seconds = time.perf_counter() - asked.started
        self._series(asked, plan, message, by).add(seconds, asked.size, len(message))
        if plan is not None and plan.log:
            _log.info("%s", asked.told(message, seconds))

    def _series(self, asked: Asked, plan: Plan | None, message: bytes, by: str) -> Series:
        family = "2" if asked.peer is not None and ":" in str(asked.peer[0]) else "1"
        rcode = RCODES.get(message[3] & 15, "other")
        zone = "dropped" if plan is None else plan.zone
        return self.metrics.of(Kind(zone, asked.proto, family, type_name(asked.query.type), rcode, by))

    def exposition(self, *, reload_failed: int = 0) -> str:
        """What /metrics says."""
        self.cache.count()
        forwarders = {plan.zone: plan.forwarder for plan in self.plans.values() if plan.forwarder is not None}
        counts = [forwarder.counts(zone) for zone, forwarder in forwarders.items()]
        return self.metrics.text(counts, reload_failed=reload_failed)

    def _transferable(self, query: Query) -> Zone | None:
        plan = self.plan(query.name)
        zone = plan.zones.match(query.name) if plan is not None else None
        return zone if zone is not None and zone.origin == query.name and not zone.fallthrough else None


def _relay(query: Query, message: bytes, limit: int) -> bytes:
    """The upstream's message as the answer to `query`: whole where it fits, else the answers that do."""
    response = wire.parse_response(message)
    if query.edns and len(message) <= limit and query.raw[:-4].lower() == response.name:
        return query.id.to_bytes(2, "big") + message[2:12] + query.raw + message[12 + len(query.raw) :]
    return wire.pack(query, Reply(response.rcode, answers=response.answers, authority=response.authority), limit)


def _append(query: Query, reply: Reply, message: bytes, limit: int) -> bytes:
    response = wire.parse_response(message)
    whole = replace(reply, rcode=response.rcode, answers=[*reply.answers, *response.answers])
    return wire.pack(query, whole, limit)


def _transfer(query: Query, zone: Zone) -> bytes:
    """The whole zone in one message, its SOA first and last (RFC 5936); truncated where 64 KiB don't hold it."""
    soa = zone.soa()
    return wire.pack(query, Reply(authoritative=True, answers=[soa, *zone.records(), soa]), wire.MAX_TCP)


class _Stream(asyncio.Protocol):
    """One TCP connection: messages with two bytes of length in front."""

    def __init__(self, responder: Responder, open_streams: set[_Stream]) -> None:
        self._responder = responder
        self._open = open_streams
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._peer: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self._peer = transport.get_extra_info("peername")
        if len(self._open) >= MAX_TCP_CONNECTIONS:
            self._transport.abort()
            return
        self._open.add(self)
        self._wait()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._wait()
        while len(self._buffer) >= 2:
            end = 2 + int.from_bytes(self._buffer[:2], "big")
            if len(self._buffer) < end:
                return
            message = bytes(self._buffer[2:end])
            del self._buffer[:end]
            self._responder.respond(message, self._send, tcp=True, peer=self._peer)

    def _send(self, message: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(len(message).to_bytes(2, "big") + message)

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _wait(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(TCP_IDLE, self.close)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        if self._idle is not None:
            self._idle.cancel()
        self._transport = None


class Server:
    """A Responder on one address and port, UDP and TCP."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._streams: set[_Stream] = set()
        self._udp: socket.socket | None = None
        self._tcp: asyncio.Server | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Bind both; port 0 chooses one that is free for both. Raises OSError."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = listening(host, port)
        self.port = listener.getsockname()[1]
        self._tcp = await loop.create_server(lambda: _Stream(self._responder, self._streams), sock=listener)
        try:
            self._udp = _udp_socket(family, host, self.port)
        except OSError:
            self._tcp.close()
            raise
        loop.add_reader(self._udp, self._readable, self._udp)

    def _readable(self, sock: socket.socket) -> None:
        cache = self._responder.cache
        cached, started = cache.get, time.perf_counter()
        for _ in range(BATCH):
            try:
                data, peer = sock.recvfrom(4096)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                continue  # an ICMP error of an earlier answer
            if (message := cached(data)) is not None:
                self._responder.queries += 1
                self._send(sock, message, peer)
            else:
                self._respond(sock, data, peer)
        cache.seconds += time.perf_counter() - started

    def _respond(self, sock: socket.socket, data: bytes, peer: Any) -> None:
        try:
            self._responder.respond(data, lambda message: self._send(sock, message, peer), peer=peer)
        except Exception:
            _log.exception("could not answer a query of %d bytes from %s", len(data), peer)

    def _send(self, sock: socket.socket, message: bytes, peer: Any) -> None:
        try:
            sock.sendto(message, peer)
        except OSError as error:  # full buffers and vanished clients: the client asks again
            _log.debug("answer to %s not sent: %r", peer, error)

    async def serve_forever(self) -> None:
        """Wait until cancelled; the sockets are served meanwhile."""
        await asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._udp is not None:
            loop.remove_reader(self._udp)
            self._udp.close()
            self._udp = None
        if self._tcp is not None:
            self._tcp.close()
            for stream in list(self._streams):
                stream.close()
            await self._tcp.wait_closed()
            self._tcp = None

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def _udp_socket(family: int, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
