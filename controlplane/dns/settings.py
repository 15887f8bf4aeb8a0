"""What a Corefile means for this server: the directives of CoreDNS that apply, the others refused by name.

Pure. A directive that CoreDNS does not know is an error in CoreDNS' words; one that it knows and this server has no use
for is left out and named in `refused`, which the server logs and tells in an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import hosts, rewrite, wire
from .corefile import Block, CorefileError, Directive

PLUGINS = frozenset(
    "acl any auto autopath azure bind bufsize cache cancel chaos clouddns debug dns64 dnssec dnstap erratic errors etcd"
    " file forward geoip grpc grpc_server header health hosts https https3 import k8s_external kubernetes loadbalance"
    " local log loop metadata minimal multisocket nomad nsid pprof prometheus quic ready reload rewrite root route53"
    " secondary sign template timeouts tls trace transfer tsig view whoami".split()
)
"""What CoreDNS 1.12 is built with."""
OPTIONS = {
    "kubernetes": "apiserver_burst apiserver_max_inflight apiserver_qps endpoint endpoint_pod_names fallthrough ignore"
    " kubeconfig labels multicluster namespace_labels namespaces noendpoints pods startup_timeout tls ttl",
    "forward": "except expire failfast_all_unhealthy_upstreams failover force_tcp health_check max_concurrent"
    " max_connect_attempts max_fails max_idle_conns next policy prefer_udp tls tls_servername",
    "cache": "denial disable keepttl prefetch serve_stale servfail success",
    "health": "lameduck",
}
"""The lines that CoreDNS knows in a directive's block."""


@dataclass(frozen=True)
class Kubernetes:
    """The `kubernetes` directive."""

    zones: tuple[bytes, ...]
    domain: str = "cluster.local"
    ttl: int = 5
    pods: str = "disabled"
    fallthrough: tuple[bytes, ...] = ()
    endpoint_pod_names: bool = False
    namespaces: frozenset[str] = frozenset()
    """Those that are shown; empty: all."""
    no_endpoints: bool = False


@dataclass(frozen=True)
class Forward:
    """The `forward` directive: who is asked about `zone`."""

    zone: bytes
    to: tuple[str, ...]
    excepted: tuple[bytes, ...] = ()
    policy: str = "random"
    max_concurrent: int = 0
    """0: as many as the server allows at all."""
    force_tcp: bool = False


@dataclass(frozen=True)
class Caching:
    """The `cache` directive, for what others answered. Seconds and entries."""

    zones: tuple[bytes, ...] = (wire.ROOT,)
    success: int = 3600
    denial: int = 1800
    servfail: int = 5
    success_entries: int = 9984
    denial_entries: int = 9984
    never_success: tuple[bytes, ...] = ()
    never_denial: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class ServerBlock:
    """What holds for some zones."""

    zones: tuple[bytes, ...]
    port: int = 53
    kubernetes: Kubernetes | None = None
    forward: Forward | None = None
    cache: Caching | None = None
    hosts: hosts.Hosts | None = None
    hosts_file: str = ""
    rewrites: tuple[rewrite.Rule, ...] = ()
    log: bool = False
    errors: bool = False
    loadbalance: bool = False
    loop: bool = False


@dataclass(frozen=True)
class Settings:
    """A whole Corefile."""

    blocks: tuple[ServerBlock, ...]
    health: int = 0
    """Ports; 0: not served."""
    lameduck: float = 0.0
    """Seconds it goes on answering after it was told to end."""
    ready: int = 0
    metrics: int = 0
    reload: bool = False
    refused: tuple[str, ...] = ()

    @property
    def kubernetes(self) -> Kubernetes | None:
        return next((block.kubernetes for block in self.blocks if block.kubernetes), None)


def read(blocks: Iterable[Block]) -> Settings:
    """Raises CorefileError."""
    reader = _Reader()
    try:
        return replace(reader.settings, blocks=tuple(map(reader.block, blocks)), **reader.whole, refused=reader.said())
    except (ValueError, IndexError) as error:
        if isinstance(error, CorefileError):
            raise
        where = reader.at
        words = f"Wrong argument count or unexpected line ending after '{where.name}'"
        detail = words if isinstance(error, IndexError) else str(error)
        raise CorefileError(f"plugin/{where.name}: Corefile:{where.line} - Error during parsing: {detail}") from error


class _Reader:
    def __init__(self) -> None:
        self.settings = Settings(())
        self.whole: dict[str, Any] = {}
        self.at = Directive("", (), (), 0)
        self._refused: list[str] = []
        self._kubernetes = False

    def said(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._refused))

    def block(self, block: Block) -> ServerBlock:
        zones, port = [], 53
        for text in block.zones:
            zone, port = _zone_and_port(text, block.line)
            zones.append(zone)
        found: dict[str, Any] = {"zones": tuple(zones), "port": port}
        for directive in block.directives:
            self.at = directive
            if directive.name not in PLUGINS:
                words = f"Unknown directive '{directive.name}'"
                raise CorefileError(f"Corefile:{directive.line} - Error during parsing: {words}")
            read = _DIRECTIVES.get(directive.name)
            if read is None:
                self.refuse(directive)
            else:
                for key, value in read(self, directive, tuple(zones)).items():
                    found[key] = (*found[key], *value) if key == "rewrites" and key in found else value
        return ServerBlock(**found)

    def refuse(self, directive: Directive, inside: str = "") -> None:
        name = f"{inside} {directive.name}" if inside else directive.name
        self._refused.append(f"line {directive.line}: {name}")

    def options(self, directive: Directive, known: Mapping[str, Callable[[Directive], Any]]) -> None:
        """Each line of the directive's block to the one who knows its name; the others are refused."""
        for option in directive.body:
            if option.name not in OPTIONS[directive.name].split():
                self.at = replace(option, name=directive.name)
                raise ValueError(f"unknown property '{option.name}'")
            if (take := known.get(option.name)) is None:
                self.refuse(option, directive.name)
            else:
                self.at = replace(option, name=directive.name)
                take(option)

    def kubernetes(self, directive: Directive, zones: tuple[bytes, ...]) -> dict[str, Any]:
        if self._kubernetes:
            raise ValueError("only one 'kubernetes' is served")
        self._kubernetes = True
        own = _names(directive.words) or zones
        domain = next((zone for zone in own if not wire.text(zone).endswith(".arpa")), own[0])
        got: dict[str, Any] = {}
        self.options(
            directive,
            {
                "pods": lambda line: self._pods(line, got),
                "ttl": lambda line: got.update(ttl=_number(line, 0, 3600)),
                "fallthrough": lambda line: got.update(fallthrough=_names(line.words) or own),
                "endpoint_pod_names": lambda line: got.update(endpoint_pod_names=True),
                "namespaces": lambda line: got.update(namespaces=frozenset(line.words)),
                "noendpoints": lambda line: got.update(no_endpoints=True),
            },
        )
        return {"kubernetes": Kubernetes(own, wire.text(domain), **got)}

    def _pods(self, line: Directive, got: dict[str, Any]) -> None:
        """`verified` needs all pods in memory: pods' names are off instead, which is no less true."""
        mode = _one_of(line, ("disabled", "insecure", "verified"))
        if mode == "verified":
            self._refused.append(f"line {line.line}: kubernetes pods verified")
        else:
            got["pods"] = mode

    def forward(self, directive: Directive, zones: tuple[bytes, ...]) -> dict[str, Any]:
        zone, *to = directive.words
        if not to:
            raise IndexError
        if len(to) > 15:
            raise ValueError(f"more than 15 TOs configured: {len(to)}")
        got: dict[str, Any] = {}
        self.options(
            directive,
            {
                "except": lambda line: got.update(excepted=_names(line.words)),
                "policy": lambda line: got.update(policy=_one_of(line, ("random", "round_robin", "sequential"))),
                "max_concurrent": lambda line: got.update(max_concurrent=_number(line, 0, 1 << 31)),
                "force_tcp": lambda line: got.update(force_tcp=True),
                "prefer_udp": lambda line: None,
            },
        )
        for address in to:
            if "://" in address and not address.startswith("dns://"):
                raise ValueError(f"not an IP address or file: {address!r}: only plain DNS is forwarded")
        plain = tuple(address.removeprefix("dns://") for address in to)
        return {"forward": Forward(wire.name(zone), plain, **got)}

    def cache(self, directive: Directive, zones: tuple[bytes, ...]) -> dict[str, Any]:
        words = list(directive.words)
        got: dict[str, Any] = {}
        if words and words[0].isdigit():
            seconds = _positive(words.pop(0))
            got.update(success=seconds, denial=seconds)
        got["zones"] = _names(words) or zones

        def capacity(line: Directive) -> None:
            got[f"{line.name}_entries"] = _positive(line.words[0])
            if len(line.words) > 1:
                got[line.name] = _positive(line.words[1])

        def disable(line: Directive) -> None:
            kind, *names = line.words
            if kind not in ("success", "denial"):
                raise ValueError(f'cache type for disable must be "success" or "denial": {kind!r}')
            got[f"never_{kind}"] = _names(names) or (wire.ROOT,)

        known = {
            "success": capacity,
            "denial": capacity,
            "disable": disable,
            "servfail": lambda line: got.update(servfail=int(_seconds(line.words[0]))),
        }
        self.options(directive, known)
        return {"cache": Caching(**got)}

    def hosts(self, directive: Directive, zones: tuple[bytes, ...]) -> dict[str, Any]:
        words = list(directive.words)
        file = words.pop(0) if words and ("/" in words[0]) else ""
        got: dict[str, Any] = {"zones": _names(words) or zones}
        reverse, lines = True, []
        for line in directive.body:
            self.at = replace(line, name="hosts")
            if line.name == "ttl":
                got["ttl"] = _number(line, 1, 65535)
            elif line.name == "fallthrough":
                got["fallthrough"] = _names(line.words) or (wire.ROOT,)
            elif line.name == "no_reverse":
                reverse = False
            elif line.name == "reload":
                self.refuse(line, "hosts")
            else:
                lines.append((line.name, *line.words))
        return {"hosts": hosts.Hosts(hosts.read(lines, reverse=reverse), **got), "hosts_file": file}

    def rewrite(self, directive: Directive, zones: tuple[bytes, ...]) -> dict[str, Any]:
        words = list(directive.words)
        go_on = words[0] == "continue"
        if words[0] in ("stop", "continue"):
            words.pop(0)
        if words.pop(0) != "name":
            self.refuse(directive)
            return {}
        kind = words.pop(0) if words[0] in rewrite.KINDS and len(words) > 2 else "exact"
        old, new = words[0], words[1]
        return {"rewrites": (rewrite.rule(kind, old, new, go_on=go_on),)}

    def health(self, directive: Directive, zones: tuple[bytes, ...]) -> dict[str, Any]:
        self.whole["health"] = _port(directive, 8080)
        known = {"lameduck": lambda line: self.whole.update(lameduck=_seconds(line.words[0]))}
        self.options(directive, known)
        return {}

    def ready(self, directive: Directive, zones: tuple[bytes, ...]) -> dict[str, Any]:
        self.whole["ready"] = _port(directive, 8181)
        return {}

    def prometheus(self, directive: Directive, zones: tuple[bytes, ...]) -> dict[str, Any]:
        self.whole["metrics"] = _port(directive, 9153)
        return {}

    def reload(self, directive: Directive, zones: tuple[bytes, ...]) -> dict[str, Any]:
        self.whole["reload"] = True
        return {}


_DIRECTIVES: Mapping[str, Callable[[_Reader, Directive, tuple[bytes, ...]], dict[str, Any]]] = {
    "kubernetes": _Reader.kubernetes,
    "forward": _Reader.forward,
    "cache": _Reader.cache,
    "hosts": _Reader.hosts,
    "rewrite": _Reader.rewrite,
    "health": _Reader.health,
    "ready": _Reader.ready,
    "prometheus": _Reader.prometheus,
    "reload": _Reader.reload,
    "errors": lambda *_: {"errors": True},
    "log": lambda *_: {"log": True},
    "loop": lambda *_: {"loop": True},
    "loadbalance": lambda *_: {"loadbalance": True},
}


def _zone_and_port(text: str, line: int) -> tuple[bytes, int]:
    scheme, _, rest = text.rpartition("://")
    if scheme not in ("", "dns"):
        raise CorefileError(f"Corefile:{line} - only plain DNS is served, not {text!r}")
    zone, _, port = rest.partition(":")
    try:
        return wire.name(zone), int(port or 53)
    except ValueError as error:
        raise CorefileError(f"Corefile:{line} - invalid zone or port {text!r}") from error


def _names(words: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(wire.name(word) for word in words)


def _number(line: Directive, lowest: int, highest: int) -> int:
    number = int(line.words[0])
    if not lowest <= number <= highest:
        raise ValueError(f"{line.name} must be in range [{lowest}, {highest}]: {number}")
    return number


def _positive(text: str) -> int:
    if (number := int(text)) <= 0:
        raise ValueError(f"cache TTL can not be zero or negative: {number}")
    return number


def _one_of(line: Directive, allowed: tuple[str, ...]) -> str:
    if line.words[0] not in allowed:
        raise ValueError(f"wrong value for {line.name}: {line.words[0]}, must be one of: {', '.join(allowed)}")
    return line.words[0]


def _port(directive: Directive, default: int) -> int:
    return int(directive.words[0].rpartition(":")[2]) if directive.words else default


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(text: str) -> float:
    """A Go duration of one number and unit."""
    for unit, factor in _UNITS.items():
        if text.endswith(unit) and (number := text.removesuffix(unit)).replace(".", "", 1).isdigit():
            return float(number) * factor
    raise ValueError(f"time: invalid duration {text!r}")
