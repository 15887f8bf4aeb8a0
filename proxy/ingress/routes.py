"""The table that requests are routed by, and the rules of precedence between its entries (Ingress v1). Pure.

`build.py` makes it from the API's objects; the server only follows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from .annotations import DEFAULT, Options
from .users import Users

PathType = Literal["Exact", "Prefix", "ImplementationSpecific", "Regex"]
Address = tuple[str, int]

MAX_REGEX_PATH = 1024
"""Longer paths match no regular expression: what an expression costs is bounded by what it reads."""


@dataclass(frozen=True, slots=True)
class UpstreamTLS:
    """How a backend that speaks TLS is known."""

    ca: str
    """Certificates in PEM; empty: those of the machine."""
    name: str
    """What its certificate must say."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Where requests go: the ready endpoints of one port of a Service."""

    name: str
    """NAMESPACE-SERVICE-PORT, as ingress-nginx names its upstreams in logs."""
    endpoints: tuple[Address, ...] = ()
    through_service: bool = False
    """The one address is the Service's, whose rules choose an endpoint for each new connection: none is kept."""
    tls: UpstreamTLS | None = None


@dataclass(frozen=True, slots=True)
class Canary:
    """Where some of a path's requests go instead, as the annotations of another Ingress say."""

    backend: Backend
    options: Options
    ingress: str


@dataclass(frozen=True, slots=True)
class Route:
    """One path of one host."""

    path: str
    kind: PathType
    backend: Backend
    ingress: str = ""
    """NAMESPACE/NAME of the Ingress that says so."""
    options: Options = DEFAULT
    tls: bool = False
    """The Ingress names this host under `tls`: plain requests are redirected."""
    pattern: re.Pattern[str] | None = None
    users: Users | None = None
    """Who may come; None: everybody."""
    canary: Canary | None = None
    split: tuple[tuple[Backend, int], ...] = ()
    """Several backends with their weights, of which `backend` is the first."""

    @property
    def plain(self) -> bool:
        """Nothing about it needs to be looked at but where it leads."""
        return self.options is DEFAULT and self.canary is None and not self.split

    def rewritten(self, path: bytes, plain: str) -> bytes:
        """The path (with query) to ask the backend for."""
        target = self.options.rewrite_target
        if not target:
            return path
        found = self.pattern.match(plain) if self.pattern is not None else None
        if found is not None:
            target = _GROUP.sub(
                lambda ref: (found[int(ref[1])] or "") if int(ref[1]) <= len(found.groups()) else "", target
            )
        _, question, query = path.partition(b"?")
        return _escaped(target) + question + query


def _group(groups: tuple[str | None, ...], number: int) -> str:
    return (groups[number] or "") if number < len(groups) else ""


_GROUP = re.compile(r"\$([0-9])")
_UNSAFE = re.compile(rb"[^\x21-\x7e]|[#?\"<>\\^`{|}]")


def _escaped(path: str) -> bytes:
    """The path as it may stand in a request line: the text was percent-decoded before it was matched."""
    raw = path.replace("%", "%25").encode("utf-8", "surrogateescape")
    raw = _UNSAFE.sub(lambda found: b"%%%02X" % found[0][0], raw)
    return raw if raw.startswith(b"/") else b"/" + raw


class HostRoutes:
    """The routes of one host: an exact path first, then the longest prefix (by whole segments), then the rest."""

    def __init__(self, routes: Iterable[Route], default: Route | None = None) -> None:
        self._exact: dict[str, Route] = {}
        self._prefix: dict[str, Route] = {}
        self._others: list[Route] = []
        self.default = default
        for route in routes:
            if route.kind == "Exact":
                self._exact.setdefault(route.path, route)
            elif route.kind == "Prefix":
                self._prefix.setdefault(route.path.rstrip("/"), route)
            else:
                self._others.append(route)
        self._others.sort(key=lambda route: -len(route.path))

    def find(self, path: str) -> Route | None:
        if (route := self._exact.get(path)) is not None:
            return route
        prefix = self._longest_prefix(path)
        for route in self._others:
            if prefix is not None and len(prefix.path) >= len(route.path):
                break
            if _matches(route, path):
                return route
        return prefix or self.default

    def ordered(self) -> list[Route]:
        """All routes, the one that is heard first in front; the default, which takes what is left, last."""
        rest = [*self._prefix.values(), *self._others]
        rest.sort(key=lambda route: (-len(route.path), route.kind != "Prefix"))
        last: list[Route] = []
        if self.default is not None and "" not in self._prefix:
            last = [replace(self.default, path="/", kind="Prefix", pattern=None)]
        return [*self._exact.values(), *rest, *last]

    def covers_everything(self) -> bool:
        """Whether every path has a route."""
        return "" in self._prefix or self.default is not None

    def _longest_prefix(self, path: str) -> Route | None:
        if not self._prefix:
            return None
        end = len(path.rstrip("/")) if path.endswith("/") else len(path)
        while end > 0:
            if (route := self._prefix.get(path[:end])) is not None:
                return route
            end = path.rfind("/", 0, end)
        return self._prefix.get("")


def _matches(route: Route, path: str) -> bool:
    if route.pattern is not None:
        return len(path) <= MAX_REGEX_PATH and route.pattern.match(path) is not None
    return path.startswith(route.path)


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something that can't be served as an Ingress asks."""

    ingress: str
    """NAMESPACE/NAME."""
    message: str
    reason: str = "Ignored"
    """`Rejected`: nothing of the Ingress is served."""

    def __str__(self) -> str:
        return f"Ingress {self.ingress}: {self.message}"


@dataclass(frozen=True)
class RouteTable:
    """All routes. Hosts are in lower case; a wildcard stands for exactly one label (Ingress v1)."""

    hosts: Mapping[str, HostRoutes] = field(default_factory=dict)
    wildcards: Mapping[str, HostRoutes] = field(default_factory=dict)
    """By what follows the `*`: `.example.org`."""
    anywhere: HostRoutes | None = None
    """Rules without a host, and the default backend."""
    certificates: Mapping[str, str] = field(default_factory=dict)
    """The Secret (NAMESPACE/NAME) of each host under `tls`; keys may be wildcards `*.example.org`."""
    passthrough: Mapping[str, tuple[tuple[Backend, int], ...]] = field(default_factory=dict)
    """By host: TLS that its backends end themselves."""
    backends: frozenset[Address] = frozenset()
    """Every address requests may go to: connections kept to others are closed."""
    complaints: tuple[Complaint, ...] = ()
    """What is wrong with the objects."""

    def find(self, host: str, path: str) -> Route | None:
        """The route of a request: None is 404. A host with rules of its own never falls back to those without one."""
        routes = self.hosts.get(host)
        if routes is None and self.wildcards:
            cut = host.find(".")
            routes = self.wildcards.get(host[cut:]) if cut > 0 else None
        if routes is None:
            routes = self.anywhere
        return None if routes is None else routes.find(path)

    def certificate(self, host: str) -> str | None:
        """The Secret for a TLS server name."""
        if (secret := self.certificates.get(host)) is not None:
            return secret
        _, dot, parent = host.partition(".")
        return self.certificates.get(f"*.{parent}") if dot else None
