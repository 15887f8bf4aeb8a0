"""Questions that are not ours, asked upstream: which resolver a name goes to is decided here, purely, and carried out.

A forwarder answers quickly whatever happens: an upstream that refuses is skipped at once, one that is silent is left
out for a while, and when nobody is left the client hears SERVFAIL instead of waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from panal.addresses import real_port

from . import wire
from .metrics import CacheCounts
from .settings import Caching

TIMEOUT = 1.5
"""Seconds to wait for one upstream; stub resolvers give up after 5."""
SILENT_FOR = 5.0
"""How long an upstream that did not answer is left alone."""
MAX_IN_FLIGHT = 1000
IP_RECVERR = 11
IPV6_RECVERR = 25
"""From <linux/in.h> and <linux/in6.h>."""

KEPT = Caching(success=30, denial=30)
"""As in kubeadm's Corefile."""

_log = logging.getLogger(__name__)
_rng = random.SystemRandom()


@dataclass
class Upstream:
    """One resolver, and until when it is thought to be away (monotonic clock)."""

    host: str
    port: int = 53
    away_until: float = 0.0
    silences: int = 0
    """Questions in a row it did not answer in time: one may be the question's fault, two are not."""

    def failed(self, now: float, *, silent: bool) -> None:
        self.silences += 1
        if not silent or self.silences > 1:
            self.away_until = now + SILENT_FOR


class Unreachable(Exception):
    """No upstream answered."""


def parse_forwards(options: Iterable[str], default: Sequence[str]) -> dict[bytes, tuple[Upstream, ...]]:
    """`ADDR`, `ADDR:PORT` or `ZONE=ADDR[,ADDR]` options as upstreams by zone; `default` serves the rest if none does.

    Raises ValueError.
    """
    table: dict[bytes, tuple[Upstream, ...]] = {}
    for option in options:
        zone, _, addresses = option.rpartition("=")
        origin = wire.name(zone)
        found = tuple(upstream(text, real_port) for text in addresses.split(",") if text)
        table[origin] = table.get(origin, ()) + found
    table.setdefault(wire.ROOT, tuple(upstream(text, lambda port: port) for text in default))
    return table


def upstream(text: str, bound_port: Callable[[int], int]) -> Upstream:
    """`bound_port` is where a port is found: the cluster's hosts may be in the loopback network, the machine's not."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.lstrip(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    wire.address_data(host)
    return Upstream(host, bound_port(int(port or 53)))


def resolvers(path: Path, exclude: Iterable[str] = ()) -> list[str]:
    """The nameservers of a resolv.conf without our own addresses; none when it can't be read."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    own = set(exclude)
    found = [words[1] for line in lines if len(words := line.split()) >= 2 and words[0] == "nameserver"]
    usable = []
    for address in found:
        with contextlib.suppress(ValueError):
            wire.address_data(address)
            if address not in own:
                usable.append(address)
    return usable[:3]


@dataclass
class _Cached:
    message: bytes
    offsets: tuple[int, ...]
    stored: float
    expires: float


@dataclass
class Forwarder:
    """Asks upstreams. Equal questions asked at the same time are asked once.

    `caching` None: nothing is kept. `policy` is CoreDNS' forward plugin's; `sequential` keeps the order.
    """

    upstreams: Mapping[bytes, tuple[Upstream, ...]]
    clock: Callable[[], float] = time.monotonic
    caching: Caching | None = KEPT
    policy: str = "sequential"
    max_concurrent: int = MAX_IN_FLIGHT
    excepted: tuple[bytes, ...] = ()
    force_tcp: bool = False
    _positive: dict[tuple[bytes, int], _Cached] = field(default_factory=dict)
    _negative: dict[tuple[bytes, int], _Cached] = field(default_factory=dict)
    _asking: dict[tuple[bytes, int], asyncio.Task[bytes]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("success", "denial", "miss", "turn"), 0))

    def counts(self, zone: str) -> CacheCounts:
        """What the cache did, for the server block called `zone`."""
        had = self._counts
        return CacheCounts(zone, had["success"], had["denial"], had["miss"], len(self._positive), len(self._negative))

    async def resolve(self, name: bytes, qtype: int) -> bytes:
        """The upstream's response, its TTLs counted down; raises Unreachable."""
        key = name, qtype
        now = self.clock()
        for kind, kept in (("success", self._positive), ("denial", self._negative)):
            if (cached := kept.get(key)) is None:
                continue
            if now < cached.expires:
                self._counts[kind] += 1
                return wire.with_ttls_reduced(cached.message, cached.offsets, int(now - cached.stored))
            del kept[key]
        self._counts["miss"] += 1
        task = self._asking.get(key)
        if task is None:
            if len(self._asking) >= self.max_concurrent:
                raise Unreachable("too many questions at once")
            task = asyncio.get_running_loop().create_task(self._ask(name, qtype), name=f"ask {wire.text(name)}")
            self._asking[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    def _forget(self, key: tuple[bytes, int], task: asyncio.Task[bytes]) -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()

    def choose(self, name: bytes, now: float) -> list[Upstream]:
        """The upstreams of the closest zone without those thought to be away."""
        for parent in wire.ancestry(name):
            if parent in self.excepted:
                return []
            if (found := self.upstreams.get(parent)) is not None:
                return [upstream for upstream in self._ordered(found) if upstream.away_until <= now]
        return []

    def _ordered(self, upstreams: tuple[Upstream, ...]) -> Sequence[Upstream]:
        if self.policy == "sequential" or len(upstreams) < 2:
            return upstreams
        if self.policy == "random":
            return _rng.sample(upstreams, len(upstreams))
        self._counts["turn"] += 1
        turn = self._counts["turn"] % len(upstreams)
        return upstreams[turn:] + upstreams[:turn]

    async def _ask(self, name: bytes, qtype: int) -> bytes:
        for upstream in self.choose(name, self.clock()):
            try:
                message = await _exchange(upstream, name, qtype, self.force_tcp)
            except (OSError, TimeoutError, wire.FormatError, asyncio.IncompleteReadError) as error:
                upstream.failed(self.clock(), silent=isinstance(error, TimeoutError))
                _log.warning("resolver %s:%d does not answer: %r", upstream.host, upstream.port, error)
                continue
            upstream.silences = 0
            self._keep(name, qtype, message)
            return message
        raise Unreachable(wire.text(name))

    def _keep(self, name: bytes, qtype: int, message: bytes) -> None:
        if self.caching is None:
            return
        response = wire.parse_response(message)
        seconds = seconds_kept(response, self.caching)
        if seconds <= 0:
            return
        success = bool(response.answers) and response.rcode == wire.NOERROR
        kept = self._positive if success else self._negative
        limit = self.caching.success_entries if success else self.caching.denial_entries
        if len(kept) >= limit:
            del kept[next(iter(kept))]
        now = self.clock()
        kept[name, qtype] = _Cached(message, response.ttl_offsets, now, now + seconds)


def seconds_kept(response: wire.Response, caching: Caching) -> int:
    """How long an answer is kept: its smallest TTL, a denial no longer than its SOA says (RFC 2308, 5)."""
    success = bool(response.answers) and response.rcode == wire.NOERROR
    parents = set(wire.ancestry(response.name))
    never = caching.never_success if success else caching.never_denial
    if not parents.intersection(caching.zones) or parents.intersection(never):
        return 0
    if response.rcode == wire.SERVFAIL:
        return caching.servfail
    if response.rcode not in (wire.NOERROR, wire.NXDOMAIN):
        return 0
    if success:
        return min(response.min_ttl, caching.success)
    minimums = [int.from_bytes(record.data[-4:], "big") for record in response.authority if record.type == wire.SOA]
    return min(response.min_ttl, caching.denial, *minimums) if minimums else 0


async def _exchange(upstream: Upstream, name: bytes, qtype: int, force_tcp: bool = False) -> bytes:
    """One question over UDP, from a port and with an id that nobody can guess; over TCP when it is truncated."""
    loop = asyncio.get_running_loop()
    ident = _rng.randrange(65536)
    query = wire.pack_query(ident, name, qtype)
    if force_tcp:
        return await _exchange_tcp(upstream, query)
    family = socket.AF_INET6 if ":" in upstream.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        _tell_unreachable(sock)
        sock.connect((upstream.host, upstream.port))
        async with asyncio.timeout(TIMEOUT):
            await loop.sock_sendall(sock, query)
            while True:
                message = await loop.sock_recv(sock, 65535)
                with contextlib.suppress(wire.FormatError):
                    response = wire.parse_response(message)
                    if (response.id, response.name, response.type) == (ident, name, qtype):
                        break
    return await _exchange_tcp(upstream, query) if response.truncated else message


def _tell_unreachable(sock: socket.socket) -> None:
    """Routers' word that there is no way becomes an error at once; by itself UDP hears only of closed ports."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)


async def _exchange_tcp(upstream: Upstream, query: bytes) -> bytes:
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection(upstream.host, upstream.port)
        try:
            writer.write(len(query).to_bytes(2, "big") + query)
            size = int.from_bytes(await reader.readexactly(2), "big")
            message = await reader.readexactly(size)
            if wire.parse_response(message).id != int.from_bytes(query[:2], "big"):
                raise wire.FormatError("an answer to another question")
            return message
        finally:
            writer.close()
