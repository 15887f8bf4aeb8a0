"""A RouteTable as NGINX's configuration. Pure.

Paths become locations in the table's own order of precedence, so that NGINX finds what `RouteTable.find` would. What
NGINX without further modules can't do is complained of by name.
"""

from __future__ import annotations

import hashlib
import re
import signal
from collections.abc import Iterable, Iterator
from typing import ClassVar

from ..annotations import DEFAULT, Options
from ..routes import Backend, Complaint, HostRoutes, Route, RouteTable
from ..tls import BadCertificate, context, key_pair
from .contract import Ports, Rendered, Secret

UNSUPPORTED = {"affinity": "affinity", "canary": "canary", "enable_cors": "enable-cors"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ADDRESS = re.compile(r"[0-9.]+|[0-9a-fA-F:.]+")
_NAME = re.compile(r"[^A-Za-z0-9_.-]")
VERSION = "@VERSION@"

_HEAD = """\
user root;
worker_processes 1;
worker_shutdown_timeout 240s;
pid {folder}/nginx.pid;
error_log /dev/stderr notice;
events {{ worker_connections 16384; multi_accept on; }}
http {{
    default_type text/html;
    server_tokens off;
    log_format ingress '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
        '"$http_user_agent" $request_length $request_time [$proxy_upstream_name] [] $upstream_addr '
        '$upstream_response_length $upstream_response_time $upstream_status $req_id';
    access_log /dev/stdout ingress;
    keepalive_timeout 75s;
    client_header_timeout 60s;
    client_body_timeout 60s;
    large_client_header_buffers 4 8k;
    proxy_http_version 1.1;
    proxy_request_buffering off;
    proxy_buffering off;
    proxy_redirect off;
    client_body_temp_path {folder}/tmp-body;
    proxy_temp_path {folder}/tmp-proxy;
    fastcgi_temp_path {folder}/tmp-fastcgi;
    uwsgi_temp_path {folder}/tmp-uwsgi;
    scgi_temp_path {folder}/tmp-scgi;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:ingress:1m;
    server_names_hash_bucket_size 512;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    map $http_x_request_id $req_id {{ default $http_x_request_id; '' $request_id; }}
    server {{
        listen 127.0.0.1:{status};
        access_log off;
        set $proxy_upstream_name '';
        location = /configuration {{ return 200 "@VERSION@"; }}
        location = /nginx_status {{ stub_status; }}
    }}
"""

_PROXY = """\
            proxy_set_header Host {host};
            proxy_set_header X-Request-ID $req_id;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Port {port};
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Scheme $scheme;
            proxy_set_header X-Scheme $scheme;
            proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for;
            proxy_set_header Forwarded 'for=$remote_addr;host="$host";proto=$scheme';
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Upgrade $http_upgrade;
"""


class Nginx:
    """See `contract.Engine`."""

    main: ClassVar[str] = "nginx.conf"
    pid_file: ClassVar[str] = "nginx.pid"
    signal: ClassVar[int] = signal.SIGHUP

    def __init__(self, fake: tuple[bytes, bytes]) -> None:
        self._fake = fake

    def render(self, table: RouteTable, secret: Secret, folder: str, ports: Ports) -> Rendered:
        return _Writing(table, secret, Rendered(folder), ports, self._fake).write()


def quoted(text: str) -> str:
    """A word of the configuration that means itself; raises ValueError for what NGINX could read otherwise."""
    if _CONTROL.search(text) or re.search(r"\$(?![0-9])", text):
        raise ValueError(f"{text!r} holds what has a meaning of its own in NGINX")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def pattern(text: str) -> str:
    """A regular expression in quotes."""
    if _CONTROL.search(text):
        raise ValueError(f"{text!r} can't stand in NGINX' configuration")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def location(route: Route) -> str:
    """How NGINX is told which paths are the route's."""
    if route.kind == "Exact":
        return "= " + quoted(route.path)
    if route.pattern is not None:
        return "~* " + pattern(route.pattern.pattern)
    literal = re.escape(route.path.rstrip("/") if route.kind == "Prefix" else route.path)
    return "~ " + pattern(f"^{literal}(?:/|$)" if route.kind == "Prefix" and literal else f"^{literal or '/'}")


class _Writing:
    """One configuration half-way."""

    def __init__(
        self, table: RouteTable, secret: Secret, out: Rendered, ports: Ports, fake: tuple[bytes, bytes]
    ) -> None:
        self._table, self._secret, self._out, self._ports, self._fake = table, secret, out, ports, fake
        self._backends: dict[str, Backend] = {}

    def write(self) -> Rendered:
        table, out = self._table, self._out
        servers = [*self._server("_", "", table.anywhere, default=True)]
        for host, routes in sorted(table.hosts.items()):
            servers += self._server(host, host, routes)
        for suffix, routes in sorted(table.wildcards.items()):
            servers += self._server(f'"~^[^.]+{re.escape(suffix)}$"', "x" + suffix, routes)
        text = "\n".join([
            _HEAD.format(folder=out.folder, status=self._ports.status),
            *self._upstreams(),
            *servers,
            "}",
            "",
        ])  # fmt: skip
        out.version = hashlib.sha256(text.encode()).hexdigest()[:16]
        out.files[Nginx.main] = text.replace(VERSION, out.version).encode()
        return out

    def _upstreams(self) -> Iterator[str]:
        for name, backend in sorted(self._backends.items()):
            yield f"    upstream {name} {{"
            for host, port in backend.endpoints:
                yield f"        server {f'[{host}]' if ':' in host else host}:{port} max_fails=0;"
            if not backend.through_service:
                yield "        keepalive 64;"
            yield "    }"

    def _server(self, name: str, host: str, routes: HostRoutes | None, *, default: bool = False) -> Iterator[str]:
        suffix = " default_server" if default else ""
        yield f"    server {{\n        server_name {name};\n        listen {self._ports.http}{suffix};"
        yield "        set $proxy_upstream_name '-';"
        if self._ports.https:
            yield f"        listen {self._ports.https} ssl{suffix};"
            yield from self._certificate(host)
        for route in routes.ordered() if routes is not None else ():
            yield from self._location(route)
        if routes is None or not routes.covers_everything():
            yield "        location / { return 404; }"
        yield "    }"

    def _certificate(self, host: str) -> Iterator[str]:
        name = self._table.certificate(host) if host else None
        found = self._secret(name) if name else None
        pair = self._fake
        if found is not None:
            try:
                pair = key_pair(found)
                context(*pair)  # a pair that doesn't load would keep NGINX from taking anything
            except BadCertificate:
                pair = self._fake
        yield f"        ssl_certificate {self._out.add('certificate', pair[0])};"
        yield f"        ssl_certificate_key {self._out.add('key', pair[1])};"

    def _location(self, route: Route) -> Iterable[str]:
        try:
            self._complain(route)
            return ["        location " + location(route) + " {", *self._inside(route), "        }"]
        except ValueError as error:
            self._out.complaints.append(Complaint(route.ingress, str(error)))
            return ()

    def _complain(self, route: Route) -> None:
        for field, annotation in UNSUPPORTED.items():
            asked = getattr(route.options, field) or (field == "canary" and route.canary is not None)
            if asked:
                message = f"annotation {annotation} is not supported by the engine nginx"
                self._out.complaints.append(Complaint(route.ingress, message))

    def _inside(self, route: Route) -> Iterator[str]:
        options, pad = route.options, " " * 12
        if options.denied or (route.users is not None and not route.users.usable):
            yield pad + "return 503;"
            return
        yield from (pad + line for line in _redirects(route))
        yield from (pad + line for line in self._access(route))
        backend = route.backend
        if not backend.endpoints or not all(_ADDRESS.fullmatch(host) for host, _ in backend.endpoints):
            yield pad + "return 503;"
            return
        name = _NAME.sub("_", backend.name) + ("-service" if backend.through_service else "")
        self._backends[name] = backend
        yield pad + f"set $proxy_upstream_name {name};"
        yield from (pad + line for line in _limits(options))
        if options.rewrite_target:
            expression = pattern("(?i)" + route.pattern.pattern) if route.pattern is not None else "^"
            yield pad + f"rewrite {expression} {quoted(options.rewrite_target)} break;"
        host = quoted(options.upstream_vhost) if options.upstream_vhost else "$http_host"
        yield _PROXY.format(host=host, port="$server_port").rstrip("\n")
        if options.x_forwarded_prefix:
            yield pad + f"proxy_set_header X-Forwarded-Prefix {quoted(options.x_forwarded_prefix)};"
        yield pad + f"proxy_pass http://{name};"

    def _access(self, route: Route) -> Iterator[str]:
        options, users = route.options, route.users
        if options.denied_from is not None:
            yield from (f"deny {network};" for network in options.denied_from.members)
        if options.allowed_from is not None:
            yield from (f"allow {network};" for network in options.allowed_from.members)
            yield "deny all;"
        if users is not None:
            lines = (f"{user}:{found}\n" for user, found in users.hashes.items() if not _CONTROL.search(user + found))
            yield f"auth_basic {quoted(users.realm)};"
            yield f"auth_basic_user_file {self._out.add('users', ''.join(lines).encode())};"


def _redirects(route: Route) -> Iterator[str]:
    options = route.options
    if options.permanent_redirect:
        yield f"return {options.permanent_redirect_code} {quoted(options.permanent_redirect)};"
    elif options.temporal_redirect:
        yield f"return {options.temporal_redirect_code} {quoted(options.temporal_redirect)};"
    elif options.force_ssl_redirect or (route.tls and options.ssl_redirect):
        yield "if ($scheme = http) { return 308 https://$host$request_uri; }"
    if options.app_root:
        yield f'if ($request_uri = "/") {{ return 302 {quoted(options.app_root)}; }}'


def _limits(options: Options) -> Iterator[str]:
    yield f"client_max_body_size {options.body_size};"
    yield f"proxy_connect_timeout {options.connect_timeout:.0f}s;"
    yield f"proxy_read_timeout {options.read_timeout:.0f}s;"
    yield f"proxy_send_timeout {options.send_timeout:.0f}s;"
    conditions = sorted(options.next_upstream) or ["off"]
    yield f"proxy_next_upstream {' '.join(conditions)};"
    if options.next_upstream_tries != DEFAULT.next_upstream_tries or conditions != ["off"]:
        yield f"proxy_next_upstream_tries {options.next_upstream_tries};"
