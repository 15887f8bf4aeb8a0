"""A RouteTable as Apache httpd's configuration. Pure.

Everything is one list of mod_rewrite's rules in the table's order of precedence: a host's rules are skipped for other
hosts, a route's for other paths, and what is left of a route ends the search, so that httpd finds what
`RouteTable.find` would. httpd ends when it is told to take a file with a mistake: expressions are checked before.
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
from .contract import Ports, Rendered, Secret, checked, matching

_CONTROL = re.compile(r"[\x00-\x1f\x7f]|\$\{")
"""`${NAME}` is replaced wherever it stands in httpd's files."""
_ADDRESS = re.compile(r"[0-9.]+|[0-9a-fA-F:.]+")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_SPLIT_WORDS = 500
"""mod_rewrite reads 1,024 characters of a line."""
MODULES = "/usr/lib/apache2/modules"
_LOADED = (
    "mpm_event authn_core authn_file authz_core authz_user auth_basic env headers rewrite unique_id ssl "
    "proxy proxy_http proxy_balancer lbmethod_byrequests slotmem_shm reqtimeout"
).split()

_HEAD = """\
ServerRoot "{folder}"
DefaultRuntimeDir "{folder}"
PidFile "{folder}/httpd.pid"
{modules}
Listen {http}
{https}Listen 127.0.0.1:{status}
ServerName localhost
User #33
Group #33
StartServers 1
ServerLimit 4
ThreadsPerChild 64
MaxRequestWorkers 256
MinSpareThreads 16
MaxSpareThreads 256
ErrorLog /proc/self/fd/2
LogLevel warn
LogFormat "%h - %u %t \\"%r\\" %>s %b \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\" %D %{{BALANCER_WORKER_NAME}}e" ingress
CustomLog /proc/self/fd/1 ingress
ServerTokens Prod
TraceEnable Off
AllowEncodedSlashes NoDecode
LimitRequestBody 0
KeepAliveTimeout 75
RequestReadTimeout header=60 body=60,MinRate=500
ProxyPreserveHost On
ProxyAddHeaders Off
ProxyTimeout 60
RequestHeader setifempty X-Request-ID "%{{UNIQUE_ID}}e"
RequestHeader set X-Original-Forwarded-For "expr=%{{HTTP:X-Forwarded-For}}" "expr=-n %{{HTTP:X-Forwarded-For}}"
RequestHeader set X-Real-IP "expr=%{{REMOTE_ADDR}}"
RequestHeader set X-Forwarded-For "expr=%{{REMOTE_ADDR}}"
RequestHeader set X-Forwarded-Host "expr=%{{HTTP_HOST}}"
RequestHeader set X-Forwarded-Port "expr=%{{SERVER_PORT}}"
RequestHeader set X-Forwarded-Proto "expr=%{{REQUEST_SCHEME}}"
RequestHeader set X-Forwarded-Scheme "expr=%{{REQUEST_SCHEME}}"
RequestHeader set X-Scheme "expr=%{{REQUEST_SCHEME}}"
RequestHeader set Forwarded "expr=for=%{{REMOTE_ADDR}};host=\\"%{{HTTP_HOST}}\\";proto=%{{REQUEST_SCHEME}}"
"""


def quoted(text: str) -> str:
    """A word of the configuration; raises ValueError for what can't stand in one."""
    if _CONTROL.search(text):
        raise ValueError(f"{text!r} can't stand in httpd's configuration")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def ruled(text: str) -> str:
    """A word of mod_rewrite's lines, which leaves backslashes as they stand. Raises ValueError."""
    if _CONTROL.search(text) or (len(text) - len(text.rstrip("\\"))) % 2:
        raise ValueError(f"{text!r} can't stand in a rule of httpd's")
    return '"' + re.sub(r'\\.|"', lambda found: '\\"' if found[0] == '"' else found[0], text) + '"'


def literal(text: str) -> str:
    """A rule's replacement that means itself: nothing in it refers to a match or a variable."""
    return re.sub(r"([\\$%])", r"\\\1", text)


class Httpd:
    """See `contract.Engine`."""

    main: ClassVar[str] = "httpd.conf"
    pid_file: ClassVar[str] = "httpd.pid"
    signal: ClassVar[int] = signal.SIGUSR1

    def __init__(self, fake: tuple[bytes, bytes], modules: str = MODULES) -> None:
        self._fake, self._modules = fake, modules

    def render(self, table: RouteTable, secret: Secret, folder: str, ports: Ports) -> Rendered:
        return _Writing(table, secret, Rendered(folder), ports, self._fake, self._modules).write()


class _Writing:
    """One configuration half-way."""

    def __init__(
        self, table: RouteTable, secret: Secret, out: Rendered, ports: Ports, fake: tuple[bytes, bytes], modules: str
    ) -> None:
        self._table, self._secret, self._out, self._ports, self._fake = table, secret, out, ports, fake
        self._modules = modules
        self._balancers: dict[str, list[str]] = {}
        self._beside: list[str] = []
        """Lines for one route that are no rules, which stand in each virtual host."""
        self._number = 0

    def write(self) -> Rendered:
        out, ports = self._out, self._ports
        rules = [line for section in self._sections() for line in section]
        routes = ["RewriteEngine On", *rules, "RewriteRule ^ - [R=404,L]", *self._beside]
        included = out.add("routes", ("\n".join(routes) + "\n").encode())
        head = _HEAD.format(
            folder=out.folder,
            http=ports.http,
            https=f"Listen {ports.https} https\n" if ports.https else "",
            status=ports.status,
            modules="\n".join(f'LoadModule {name}_module "{self._modules}/mod_{name}.so"' for name in _LOADED),
        )
        balancers = [line for lines in self._balancers.values() for line in lines]
        hosts = [*_virtual_host(f"*:{ports.http}", included), *self._secure(included)]
        text = "\n".join([head, *balancers, *hosts, ""])
        out.version = hashlib.sha256(text.encode()).hexdigest()[:16]
        told = [f'ErrorDocument 404 "{out.version}"', "RewriteEngine On", "RewriteRule ^ - [R=404,L]"]
        status = [f"<VirtualHost 127.0.0.1:{ports.status}>", *told, "CustomLog /dev/null ingress", "</VirtualHost>", ""]
        out.files[Httpd.main] = (text + "\n".join(status)).encode()
        return out

    def _secure(self, included: str) -> Iterator[str]:
        """A virtual host for each certificate; the first is for names that are not there."""
        if not self._ports.https:
            return
        where = f"*:{self._ports.https}"
        yield from _virtual_host(where, included, *self._certificate(self._fake))
        names = sorted(self._table.certificates.items(), key=lambda item: (item[0].startswith("*"), item))
        for host, name in names:
            found = self._secret(name)
            if found is None:
                continue
            try:
                pair = key_pair(found)
                context(*pair)  # a pair that doesn't load would end httpd
                said = quoted(host)
            except (BadCertificate, ValueError):
                continue
            known = [f"ServerAlias {said}"] if host.startswith("*") else [f"ServerName {said}"]
            yield from _virtual_host(where, included, *known, *self._certificate(pair))

    def _certificate(self, pair: tuple[bytes, bytes]) -> list[str]:
        return [
            "SSLEngine on",
            "SSLProtocol -all +TLSv1.2 +TLSv1.3",
            f'SSLCertificateFile "{self._out.add("certificate", pair[0])}"',
            f'SSLCertificateKeyFile "{self._out.add("key", pair[1])}"',
        ]

    def _sections(self) -> Iterator[list[str]]:
        table = self._table
        for host, routes in sorted(table.hosts.items()):
            yield self._host(f"^{re.escape(host)}(?::[0-9]+)?$", routes)
        for suffix, routes in sorted(table.wildcards.items()):
            yield self._host(rf"^[^.:]+{re.escape(suffix)}(?::[0-9]+)?$", routes)
        if table.anywhere is not None:
            yield self._host("", table.anywhere)

    def _host(self, host: str, routes: HostRoutes) -> list[str]:
        lines = [line for route in routes.ordered() for line in self._guarded(route)]
        lines.append("RewriteRule ^ - [R=404,L]")
        skip = [f"RewriteCond %{{HTTP_HOST}} {ruled('!' + host)} [NC]", f"RewriteRule ^ - [S={_rules(lines)}]"]
        return [*skip, *lines] if host else lines

    def _guarded(self, route: Route) -> list[str]:
        try:
            self._number += 1
            beside = len(self._beside)
            lines = list(self._route(route, f"r{self._number}"))
            return [f"RewriteRule {ruled('!' + matching(route))} - [S={_rules(lines)}]", *lines]
        except ValueError as error:
            del self._beside[beside:]
            self._out.complaints.append(Complaint(route.ingress, str(error)))
            return []

    def _route(self, route: Route, name: str) -> Iterator[str]:
        options, users = route.options, route.users
        yield f"RewriteRule ^ - [E=ROUTE:{name}]"
        if options.denied or (users is not None and not users.usable):
            yield "RewriteRule ^ - [R=503,L]"
            return
        yield from _access(options)
        yield from _redirects(route)
        if options.enable_cors:
            yield from self._cors(options, name)
        self._changes(options, name)
        self._inside(route, name)
        if route.canary is not None:
            yield from self._canary(route, route.canary, name)
        yield self._proxied(route, route.backend)

    def _proxied(self, route: Route, backend: Backend) -> str:
        if not backend.endpoints or not all(_ADDRESS.fullmatch(host) for host, _ in backend.endpoints):
            return "RewriteRule ^ - [R=503,L]"
        base = f"balancer://{self._balancer(route.options, backend)}"
        target = route.options.rewrite_target
        if not target:
            return f'RewriteRule ^ "{base}%{{REQUEST_URI}}" [P]'
        groups = route.pattern.groups if route.pattern is not None else 0
        parts = re.split(r"(\$[0-9])", target if target.startswith("/") else "/" + target)
        words = [_group(part, groups) if index % 2 else literal(part) for index, part in enumerate(parts)]
        matched = matching(route) if route.pattern is not None else "^"
        return f"RewriteRule {ruled(matched)} {ruled(base + ''.join(words))} [P,QSA]"

    def _balancer(self, options: Options, backend: Backend) -> str:
        """Its name is made of what it is, so that one in use is never changed."""
        connect, read = max(1, round(options.connect_timeout)), max(1, round(options.read_timeout))
        lines = []
        for host, port in sorted(backend.endpoints):
            address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            mark = hashlib.sha256(f"{backend.name} {address}".encode()).hexdigest()[:16]
            how = f"retry=0 disablereuse=On connectiontimeout={connect} timeout={read} upgrade=ANY route={mark}"
            lines.append(f"    BalancerMember {address} {how}")
        if options.affinity:
            lines.append(f"    ProxySet stickysession={_name(options.cookie_name)}")
        tries = options.next_upstream_tries or len(lines)
        lines.append(f"    ProxySet maxattempts={max(0, tries - 1) if options.next_upstream else 0}")
        name = "b" + hashlib.sha256("\n".join([backend.name, *lines]).encode()).hexdigest()[:16]
        self._balancers[name] = [f"<Proxy balancer://{name}>", *lines, "</Proxy>"]
        return name

    def _canary(self, route: Route, canary: Canary, name: str) -> Iterator[str]:
        """By header, by cookie, then by weight."""
        options = canary.options
        there, here = self._proxied(route, canary.backend), self._proxied(route, route.backend)
        if options.canary_by_header:
            said = f"%{{HTTP:{_name(options.canary_by_header)}}}"
            if options.canary_by_header_value:
                if re.search(r'["\\]', options.canary_by_header_value):
                    raise ValueError(f"{options.canary_by_header_value!r} can't stand in a condition of httpd's")
                yield from (f"RewriteCond {said} {ruled('=' + options.canary_by_header_value)}", there)
            elif options.canary_by_header_pattern:
                pattern = checked(f"(?:){options.canary_by_header_pattern}")
                yield from (f"RewriteCond {said} {ruled(pattern)}", there)
            else:
                yield from (f"RewriteCond {said} =always", there, f"RewriteCond {said} =never", here)
        if options.canary_by_cookie:
            for word, goes in (("always", there), ("never", here)):
                cookie = rf"(?:^|;\s*){re.escape(options.canary_by_cookie)}={word}(?:;|$)"
                yield from (f"RewriteCond %{{HTTP_COOKIE}} {ruled(cookie)}", goes)
        if options.canary_weight:
            total = max(options.canary_weight_total, 1)
            part = min(options.canary_weight, total)
            if total > _SPLIT_WORDS:
                part, total = part * _SPLIT_WORDS // total, _SPLIT_WORDS
            words = "s " + "|".join("y" * part + "n" * (total - part)) + "\n"
            path = self._out.add("split", words.encode())
            self._out.public.add(path)
            yield f"RewriteMap {name} rnd:{path}"
            yield from (f"RewriteCond ${{{name}:s}} =y", there)

    def _cors(self, options: Options, name: str) -> Iterator[str]:
        """As ingress-nginx: the origin is allowed by name or by `*.`; a preflight is answered here."""
        everybody = options.cors_allow_origin == ("*",)
        names = "|".join(re.escape(item).replace(r"\*", "[a-zA-Z0-9-]+") for item in options.cors_allow_origin)
        allowed = [] if everybody else [f"RewriteCond %{{HTTP:Origin}} {ruled(f'^(?:{names})$')}"]
        headers = [
            ("Allow-Origin", '"*"' if everybody else '"expr=%{HTTP:Origin}"'),
            ("Allow-Credentials", '"true"' if options.cors_allow_credentials else ""),
            ("Allow-Methods", _said(options.cors_allow_methods)),
            ("Allow-Headers", _said(options.cors_allow_headers)),
            ("Expose-Headers", _said(options.cors_expose_headers) if options.cors_expose_headers else ""),
            ("Max-Age", f'"{options.cors_max_age}"'),
        ]
        for header, value in headers:
            if value:
                self._beside.append(f"Header onsuccess unset Access-Control-{header} env=CORS_{name}")
                self._beside.append(f"Header always set Access-Control-{header} {value} env=CORS_{name}")
        yield from (*allowed, f"RewriteRule ^ - [E=CORS_{name}:1]")
        yield from ("RewriteCond %{REQUEST_METHOD} =OPTIONS", *allowed, "RewriteRule ^ - [R=204,L]")

    def _changes(self, options: Options, name: str) -> None:
        """Headers for the backend, and the cookie that names it."""
        mine = f"\"expr=reqenv('ROUTE') == '{name}'\""
        if options.upstream_vhost:
            self._beside.append(f"RequestHeader set Host {_said(options.upstream_vhost)} {mine}")
        if options.x_forwarded_prefix:
            self._beside.append(f"RequestHeader set X-Forwarded-Prefix {_said(options.x_forwarded_prefix)} {mine}")
        if options.affinity:
            age = f"; Max-Age={options.cookie_max_age}" if options.cookie_max_age else ""
            cookie = f"{_name(options.cookie_name)}=.%{{BALANCER_WORKER_ROUTE}}e; Path=/; HttpOnly{age}"
            fresh = f"\"expr=reqenv('ROUTE') == '{name}' && reqenv('BALANCER_ROUTE_CHANGED') == '1'\""
            self._beside.append(f'Header always add Set-Cookie "{cookie}" {fresh}')

    def _inside(self, route: Route, name: str) -> None:
        """What httpd knows only in a section of its own."""
        users, lines = route.users, []
        if route.options.body_size:
            lines.append(f"LimitRequestBody {route.options.body_size}")
        if users is not None:
            pairs = (f"{user}:{found}\n" for user, found in users.hashes.items() if not _CONTROL.search(user + found))
            path = self._out.add("users", "".join(pairs).encode())
            self._out.public.add(path)
            lines += ["AuthType Basic", f"AuthName {quoted(users.realm)}", "AuthBasicProvider file"]
            lines += [f'AuthUserFile "{path}"', "Require valid-user"]
        if lines:
            self._beside += [f"<If \"reqenv('ROUTE') == '{name}'\">", *lines, "</If>"]


def _virtual_host(where: str, included: str, *lines: str) -> Iterator[str]:
    yield f"<VirtualHost {where}>"
    yield from (f"    {line}" for line in (*lines, f'Include "{included}"'))
    yield "</VirtualHost>"


def _rules(lines: list[str]) -> int:
    return sum(line.startswith("RewriteRule") for line in lines)


def _group(reference: str, groups: int) -> str:
    return reference if int(reference[1]) <= groups else ""


def _said(value: str) -> str:
    """A header's value that means itself."""
    return quoted(value.replace("%", "%%"))


def _name(text: str) -> str:
    """A header's or a cookie's name; raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} can't stand in httpd's configuration")
    return text


def _access(options: Options) -> Iterator[str]:
    if options.denied_from is not None:
        yield f'RewriteCond expr "{_any(options.denied_from.members)}"'
        yield "RewriteRule ^ - [F]"
    if options.allowed_from is not None:
        yield f'RewriteCond expr "!({_any(options.allowed_from.members)})"'
        yield "RewriteRule ^ - [F]"
    if options.body_size:
        yield f'RewriteCond expr "%{{HTTP:Content-Length}} -gt {options.body_size}"'
        yield "RewriteRule ^ - [R=413,L]"


def _any(networks: object) -> str:
    return " || ".join(f"-R '{network}'" for network in networks)  # type: ignore[attr-defined]


def _redirects(route: Route) -> Iterator[str]:
    options = route.options
    if options.permanent_redirect:
        yield _moved(options.permanent_redirect, options.permanent_redirect_code)
    elif options.temporal_redirect:
        yield _moved(options.temporal_redirect, options.temporal_redirect_code)
    elif options.force_ssl_redirect or (route.tls and options.ssl_redirect):
        yield "RewriteCond %{HTTPS} !=on"
        yield f'RewriteRule ^ "https://%{{SERVER_NAME}}%{{REQUEST_URI}}" [R={options.ssl_redirect_code},L]'
    if options.app_root:
        yield f"RewriteRule ^/$ {ruled(literal(options.app_root))} [R=302,L,QSD,NE]"


def _moved(location: str, code: int) -> str:
    return f"RewriteRule ^ {ruled(literal(location))} [R={code},L,QSD,NE]"
