"""Who may be asked through the company's exit, and why not. Pure.

A host is refused by its name before it is looked up, and by its address afterwards: a name that leads to a blocked
network is blocked too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

WEB_PORTS = frozenset({80, 443, *range(1024, 65536)})
"""Where absolute-form requests may go: the well-known ports but the web's speak other protocols."""
OWN = IPv4Network("127.0.0.0/16")
"""The proxy's own programs are nobody's destination. (In the `loopback` network hosts are 127.x.y.z, x not 0.)"""
_HOST = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")


@dataclass(frozen=True)
class Blocked:
    """A host, `*.DOMAIN` (the domain and what is below it), an address or a network, and the reason."""

    pattern: str
    reason: str = "not allowed by the company"

    @classmethod
    def parse(cls, text: str) -> Blocked:
        """PATTERN[=REASON]. Raises ValueError."""
        pattern, _, reason = text.partition("=")
        pattern = pattern.strip().lower().rstrip(".")
        if network_of(pattern) is None and (len(pattern) > 253 or not _HOST.fullmatch(pattern)):
            raise ValueError(f"{pattern!r} is no host, no *.DOMAIN and no network")
        return cls(pattern, reason.strip() or cls.reason)

    def has_host(self, host: str) -> bool:
        if self.pattern.startswith("*."):
            return host == self.pattern[2:] or host.endswith(self.pattern[1:])
        return host == self.pattern

    def has_address(self, address: IPv4Address) -> bool:
        network = network_of(self.pattern)
        return network is not None and address in network


def network_of(pattern: str) -> IPv4Network | None:
    try:
        return IPv4Network(pattern)
    except ValueError:
        return None


@dataclass(frozen=True)
class Policy:
    """What the exit refuses. Each question is answered with the reason, None where nothing is against it."""

    blocked: tuple[Blocked, ...] = ()
    tunnel_ports: frozenset[int] = frozenset({443})
    """Where CONNECT may lead: a tunnel's bytes can't be looked at, so its port must say what it is for."""

    @classmethod
    def of(cls, blocked: Iterable[str], tunnel_ports: Iterable[int]) -> Policy:
        """Raises ValueError."""
        return cls(tuple(map(Blocked.parse, blocked)), frozenset(tunnel_ports) or cls.tunnel_ports)

    def of_host(self, host: str, port: int, *, tunnel: bool) -> str | None:
        """`host` in lower case."""
        for item in self.blocked:
            if item.has_host(host.rstrip(".")):
                return f"{host} is blocked: {item.reason}"
        if port not in (self.tunnel_ports if tunnel else WEB_PORTS):
            return f"port {port} is blocked: {'tunnels' if tunnel else 'requests'} don't go there"
        return None

    def of_address(self, host: str, address: str) -> str | None:
        found = IPv4Address(address)
        if found in OWN or found.is_unspecified or found.is_multicast or found.is_link_local:
            return f"{host} is blocked: {address} is no address of another host"
        for item in self.blocked:
            if item.has_address(found):
                return f"{host} ({address}) is blocked: {item.reason}"
        return None
