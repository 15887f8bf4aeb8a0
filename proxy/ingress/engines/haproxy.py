"""A RouteTable as HAProxy's configuration. Pure.

Each route is a backend of its own; `use_backend` lines stand in the table's order of precedence, so that HAProxy finds
what `RouteTable.find` would. What can't be said is complained of by name; where it would have kept people out, nobody
is served.
"""

from __future__ import annotations

import hashlib
import re
import signal
from collections.abc import Iterator
from typing import ClassVar

from ..annotations import Options
from ..routes import Backend, Canary, Complaint, HostRoutes, Route, RouteTable
from ..tls import BadCertificate, context, key_pair
from .contract import Ports, Rendered, Secret

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ADDRESS = re.compile(r"[0-9.]+|[0-9a-fA-F:.]+")
_SAFE_NAME = re.compile(r"[^A-Za-z0-9_.-]")
VERSION = "@VERSION@"

_HEAD = """\
global
    log stdout format raw local0
    expose-experimental-directives
    maxconn 4096
    tune.maxrewrite 2048
    hard-stop-after 240s
defaults
    mode http
    log global
    log-format '%ci - - [%trl] "%HM %HU %HV" %ST %B "-" "-" %U %[lat_ns_tot,div(1000000)] [%b] [] %si:%sp %B - %ST %ID'
    option redispatch 1
    option http-keep-alive
    http-reuse safe
    retry-on conn-failure empty-response
    retries 3
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-request 60s
    timeout http-keep-alive 75s
    timeout tunnel 1h
    unique-id-format %{{+X}}o%ci%cp%fi%fp%Ts%rt%pid
listen configuration
    bind 127.0.0.1:{status}
    no log
    http-request return status 200 content-type text/plain string @VERSION@
frontend ingress
    bind :{http}
"""

_FRONTEND = """\
    http-request normalize-uri path-merge-slashes
    http-request normalize-uri path-strip-dot
    http-request normalize-uri path-strip-dotdot full
    http-request set-var(txn.host) req.hdr(host),field(1,:),lower
    http-request set-var(txn.path) path,url_dec
    http-request set-header X-Request-ID %[unique-id] unless { req.hdr(X-Request-ID) -m found }
    acl forwarded req.hdr(X-Forwarded-For) -m found
    http-request set-header X-Original-Forwarded-For %[req.hdr(X-Forwarded-For)] if forwarded
    http-request set-header X-Real-IP %[src]
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Forwarded-Port %[dst_port]
    http-request set-header X-Forwarded-Proto http unless { ssl_fc }
    http-request set-header X-Forwarded-Proto https if { ssl_fc }
    http-request set-header Forwarded "for=%[src];proto=http" unless { ssl_fc }
    http-request set-header Forwarded "for=%[src];proto=https" if { ssl_fc }
"""

_TAIL = """\
backend none
    http-request return status 404 content-type text/html string "<html><body><h1>404 Not Found</h1></body></html>"
"""


def word(text: str) -> str:
    """A word of the configuration that means itself; raises ValueError for what can't stand there."""
    if _CONTROL.search(text):
        raise ValueError(f"{text!r} can't stand in HAProxy's configuration")
    return "'" + text.replace("'", "'\\''") + "'"


def literal(text: str) -> str:
    """A word in which HAProxy evaluates nothing: `%` begins an expression."""
    return word(text.replace("%", "%%"))


def name(text: str) -> str:
    """A header's or a cookie's name inside of an expression; raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise ValueError(f"{text!r} can't stand in an expression of HAProxy")
    return text


def expression(route: Route) -> str:
    """What of the path is the route's."""
    if route.kind == "Exact":
        return f"var(txn.path) -m str {word(route.path)}"
    if route.pattern is not None:
        return f"var(txn.path) -m reg -i {word(route.pattern.pattern)}"
    text = re.escape(route.path.rstrip("/") if route.kind == "Prefix" else route.path)
    matched = f"^{text}(?:/|$)" if route.kind == "Prefix" and text else f"^{text or '/'}"
    return f"var(txn.path) -m reg {word(matched)}"


class HAProxy:
    """See `contract.Engine`."""

    main: ClassVar[str] = "haproxy.cfg"
    pid_file: ClassVar[str] = "haproxy.pid"
    signal: ClassVar[int] = signal.SIGUSR2
    """To the master process (-W): it starts new workers, which get the listening sockets from the old ones."""

    def __init__(self, fake: tuple[bytes, bytes]) -> None:
        self._fake = fake

    def render(self, table: RouteTable, secret: Secret, folder: str, ports: Ports) -> Rendered:
        return _Writing(table, secret, Rendered(folder), ports, self._fake).write()


class _Writing:
    """One configuration half-way."""

    def __init__(
        self, table: RouteTable, secret: Secret, out: Rendered, ports: Ports, fake: tuple[bytes, bytes]
    ) -> None:
        self._table, self._secret, self._out, self._ports, self._fake = table, secret, out, ports, fake
        self._backends: list[str] = []

    def write(self) -> Rendered:
        table, out, ports = self._table, self._out, self._ports
        chosen: list[str] = []
        for host, routes in sorted(table.hosts.items()):
            chosen += self._host(f"{{ var(txn.host) -m str {word(host)} }} ", routes)
        for suffix, routes in sorted(table.wildcards.items()):
            chosen += self._host(f"{{ var(txn.host) -m reg {word(f'^[^.]+{re.escape(suffix)}$')} }} ", routes)
        if table.anywhere is not None:
            chosen += self._host("", table.anywhere)
        head = _HEAD.format(status=ports.status, http=ports.http)
        secure = f"    bind :{ports.https} ssl crt-list {self._certificates()}\n" if ports.https else ""
        lines = [*chosen, "    default_backend none", *self._backends]
        text = head + secure + _FRONTEND + "\n".join(lines) + "\n" + _TAIL
        out.version = hashlib.sha256(text.encode()).hexdigest()[:16]
        out.files[HAProxy.main] = text.replace(VERSION, out.version).encode()
        return out

    def _certificates(self) -> str:
        """The list by server name; the first one is for names that are not in it."""
        lines = [self._out.add("key", b"".join(self._fake))]
        for host, name in sorted(self._table.certificates.items()):
            found = self._secret(name)
            if found is None:
                continue
            try:
                pair = key_pair(found)
                context(*pair)
            except BadCertificate:
                continue
            lines.append(f"{self._out.add('key', pair[0].rstrip() + bytes([10]) + pair[1])} [] {host}")
        return self._out.add("certificate", ("\n".join(lines) + "\n").encode())

    def _host(self, host: str, routes: HostRoutes) -> Iterator[str]:
        for route in routes.ordered():
            try:
                yield from self._route(host, route)
            except ValueError as error:
                self._out.complaints.append(Complaint(route.ingress, str(error)))
        if host:
            yield f"    use_backend none if {host}"

    def _route(self, host: str, route: Route) -> Iterator[str]:
        condition = f"{host}{{ {expression(route)} }}"
        lines: list[str] = []
        if route.canary is not None:
            canary = self._add(route, route.canary.backend)
            lines += [f"    use_backend {canary} if {condition} {rule}" for rule in _canary(route.canary)]
        lines.append(f"    use_backend {self._add(route, route.backend)} if {condition}")
        yield from lines

    def _add(self, route: Route, backend: Backend) -> str:
        """A backend section for the route; gives its name. Raises ValueError."""
        section = f"r{len(self._backends)}-{_SAFE_NAME.sub('_', backend.name)}"
        self._backends.append(
            "\n".join([f"backend {section}", *(f"    {line}" for line in self._inside(route, backend))])
        )
        return section

    def _inside(self, route: Route, backend: Backend) -> Iterator[str]:
        options = route.options
        unsupported = [("enable-cors", options.enable_cors), ("auth-type", route.users is not None)]
        for annotation, asked in unsupported:
            if asked:
                message = f"annotation {annotation} is not supported by the engine haproxy"
                self._out.complaints.append(Complaint(route.ingress, message))
        served = backend.endpoints and all(_ADDRESS.fullmatch(host) for host, _ in backend.endpoints)
        if options.denied or route.users is not None or not served:
            yield "http-request return status 503 content-type text/plain string 'Service Temporarily Unavailable'"
            return
        yield from _access(options)
        yield from _redirects(route)
        yield from _changes(route)
        yield f"timeout connect {options.connect_timeout:.0f}s"
        yield f"timeout server {options.read_timeout:.0f}s"
        if not options.next_upstream:
            yield "retries 0"
        if options.affinity:
            yield f"cookie {name(options.cookie_name)} insert indirect nocache httponly"
        yield "balance roundrobin"
        for host, port in backend.endpoints:
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            mark = hashlib.sha256(f"{backend.name} {address}".encode()).hexdigest()[:16]
            yield f"server {mark} {address}" + (f" cookie {mark}" if options.affinity else "")


def _access(options: Options) -> Iterator[str]:
    if options.denied_from is not None:
        yield f"http-request deny status 403 if {{ src {' '.join(map(str, options.denied_from.members))} }}"
    if options.allowed_from is not None:
        yield f"http-request deny status 403 unless {{ src {' '.join(map(str, options.allowed_from.members))} }}"
    if options.body_size:
        yield f"http-request deny status 413 if {{ req.hdr_val(content-length) gt {options.body_size} }}"


def _redirects(route: Route) -> Iterator[str]:
    options = route.options
    if options.permanent_redirect:
        yield _moved(options.permanent_redirect, options.permanent_redirect_code)
    elif options.temporal_redirect:
        yield _moved(options.temporal_redirect, options.temporal_redirect_code)
    elif options.force_ssl_redirect or (route.tls and options.ssl_redirect):
        yield f"http-request redirect scheme https code {options.ssl_redirect_code} unless {{ ssl_fc }}"
    if options.app_root:
        yield _moved(options.app_root, 302) + " if { path / }"


def _moved(location: str, code: int) -> str:
    return f"http-request redirect location {literal(location)} code {code}"


def _changes(route: Route) -> Iterator[str]:
    options = route.options
    if options.rewrite_target:
        target = re.sub(r"\$([0-9])", r"\\\1", options.rewrite_target.replace("\\", "\\\\"))
        matched = route.pattern.pattern + ".*" if route.pattern is not None else "^.*"
        yield f"http-request replace-path {word('(?i)' + matched)} {literal(target)}"
    if options.upstream_vhost:
        yield f"http-request set-header Host {literal(options.upstream_vhost)}"
    if options.x_forwarded_prefix:
        yield f"http-request set-header X-Forwarded-Prefix {literal(options.x_forwarded_prefix)}"


def _canary(canary: Canary) -> Iterator[str]:
    """Conditions, each of which sends a request to the canary: by header, by cookie, then by weight."""
    options = canary.options
    never = ""
    if options.canary_by_header:
        said = f"req.hdr({name(options.canary_by_header)})"
        if options.canary_by_header_value:
            yield f"{{ {said} -m str {word(options.canary_by_header_value)} }}"
        elif options.canary_by_header_pattern:
            yield f"{{ {said} -m reg {word(options.canary_by_header_pattern)} }}"
        else:
            yield f"{{ {said} -m str always }}"
            never += f" !{{ {said} -m str never }}"
    if options.canary_by_cookie:
        said = f"req.cook({name(options.canary_by_cookie)})"
        yield f"{{ {said} -m str always }}{never}"
        never += f" !{{ {said} -m str never }}"
    if options.canary_weight:
        yield f"{{ rand({max(options.canary_weight_total, 1)}) lt {options.canary_weight} }}{never}"
