"""A RouteTable as Caddy's configuration, in its own JSON. Pure.

Routes stand in the table's order of precedence, each ending the search, so that Caddy finds what `RouteTable.find`
would. What can't be said is complained of by name; where it would have kept people out, nobody is served.
"""

from __future__ import annotations

import hashlib
import re
import signal
from collections.abc import Iterator
from typing import Any, ClassVar

import orjson

from ..annotations import Options
from ..routes import Backend, Canary, Complaint, HostRoutes, Route, RouteTable
from ..tls import BadCertificate, context, key_pair
from .contract import Ports, Rendered, Secret, checked, matching

_CONTROL = re.compile(r"[\x00-\x1f\x7f{}]")
_ADDRESS = re.compile(r"[0-9.]+|[0-9a-fA-F:.]+")
_NANOSECONDS = 10**9

Json = dict[str, Any]


def literal(text: str) -> str:
    """Text in which Caddy finds no placeholder: braces are refused. Raises ValueError."""
    if _CONTROL.search(text):
        raise ValueError(f"{text!r} holds what has a meaning of its own in Caddy")
    return text


class Caddy:
    """See `contract.Engine`."""

    main: ClassVar[str] = "caddy.json"
    pid_file: ClassVar[str] = "caddy.pid"
    signal: ClassVar[int] = signal.SIGUSR1
    """Takes the file it was started with again; from Caddy 2.11 on."""

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
        self._number = 0

    def write(self) -> Rendered:
        table, out, ports = self._table, self._out, self._ports
        routes: list[Json] = []
        for host, found in sorted(table.hosts.items()):
            routes.append(self._host({"host": [literal(host)]}, found))
        for suffix, found in sorted(table.wildcards.items()):
            routes.append(self._host({"host": [f"*{literal(suffix)}"]}, found))
        if table.anywhere is not None:
            routes.append(self._host({}, table.anywhere))
        routes.append({"handle": [_NOT_FOUND]})
        text = [{"handle": [_FORWARDED]}, *routes]
        common = {"automatic_https": {"disable": True}, "protocols": ["h1"], "logs": {}, "routes": text}
        servers: Json = {"http": {**common, "listen": [f":{ports.http}"]}}
        apps: Json = {"http": {"servers": servers, "grace_period": 240 * _NANOSECONDS}}
        if ports.https:
            policies, certificates = self._certificates()
            servers["https"] = {**common, "listen": [f":{ports.https}"], "tls_connection_policies": policies}
            apps["tls"] = {"certificates": {"load_files": certificates}}
        out.version = hashlib.sha256(orjson.dumps(apps)).hexdigest()[:16]
        told = {"match": [{"path": ["/configuration"]}], "handle": [_answer(200, out.version)]}
        servers["status"] = {
            "listen": [f"127.0.0.1:{ports.status}"],
            "automatic_https": {"disable": True},
            "routes": [told],
        }
        whole = {"admin": {"disabled": True, "config": {"persist": False}}, "apps": apps}
        out.files[Caddy.main] = orjson.dumps(whole, option=orjson.OPT_INDENT_2)
        return out

    def _certificates(self) -> tuple[list[Json], list[Json]]:
        """By server name; the last one is for names that are not there."""
        policies, files = [], [self._file(self._fake, "fake")]
        names = sorted(self._table.certificates.items(), key=lambda item: (item[0].startswith("*"), item))
        for number, (host, name) in enumerate(names):
            found = self._secret(name)
            if found is None:
                continue
            try:
                pair = key_pair(found)
                context(*pair)  # a pair that doesn't load would keep Caddy from taking anything
            except BadCertificate:
                continue
            tag = f"c{number}"
            files.append(self._file(pair, tag))
            policies.append({"match": {"sni": [host]}, "certificate_selection": {"any_tag": [tag]}, **_TLS})
        policies.append({"certificate_selection": {"any_tag": ["fake"]}, **_TLS})
        return policies, files

    def _file(self, pair: tuple[bytes, bytes], tag: str) -> Json:
        return {
            "certificate": self._out.add("certificate", pair[0]),
            "key": self._out.add("key", pair[1]),
            "tags": [tag],
        }

    def _host(self, match: Json, routes: HostRoutes) -> Json:
        inside: list[Json] = []
        for route in routes.ordered():
            try:
                inside.extend(self._route(route))
            except ValueError as error:
                self._out.complaints.append(Complaint(route.ingress, str(error)))
        inside.append({"handle": [_NOT_FOUND]})
        whole: Json = {"handle": [{"handler": "subroute", "routes": inside}], "terminal": True}
        return {"match": [match], **whole} if match else whole

    def _route(self, route: Route) -> Iterator[Json]:
        self._number += 1
        name = f"r{self._number}"
        path = {"path_regexp": {"name": name, "pattern": matching(route)}}
        handle = [*self._guards(route), *self._proxied(route, name)]
        if route.canary is not None:
            other = [*self._guards(route), *_changes(route, name), _proxy(route.options, route.canary.backend)]
            main = [*self._guards(route), *_changes(route, name), _proxy(route.options, route.backend)]
            for said, goes in _canary(route.canary):
                yield {"match": [{**path, **said}], "handle": _subroute(other if goes else main), "terminal": True}
        yield {"match": [path], "handle": _subroute(handle), "terminal": True}

    def _guards(self, route: Route) -> Iterator[Json]:
        """What answers before a backend is asked."""
        options = route.options
        if options.denied or (route.users is not None and not self._can_check(route)):
            yield {"handle": [_answer(503, "Service Temporarily Unavailable")]}
            return
        if options.denied_from is not None:
            yield {"match": [_from(options.denied_from.members)], "handle": [_answer(403, "Forbidden")]}
        if options.allowed_from is not None:
            elsewhere = {"not": [_from(options.allowed_from.members)]}
            yield {"match": [elsewhere], "handle": [_answer(403, "Forbidden")]}
        yield from _redirects(route)
        if options.enable_cors:
            yield from _cors(options)
        if route.users is not None:
            accounts = [{"username": user, "password": found} for user, found in route.users.hashes.items()]
            basic = {"accounts": accounts, "realm": literal(route.users.realm), "hash": {"algorithm": "bcrypt"}}
            yield {"handle": [{"handler": "authentication", "providers": {"http_basic": basic}}]}
        if options.body_size:
            yield {"handle": [{"handler": "request_body", "max_size": options.body_size}]}

    def _can_check(self, route: Route) -> bool:
        users = route.users
        assert users is not None
        if users.usable and all(re.match(r"\$2[aby]\$", found) for found in users.hashes.values()):
            return bool(users.hashes) and not any(_CONTROL.search(user) for user in users.hashes)
        message = "the engine caddy knows bcrypt's passwords only (htpasswd -B)"
        self._out.complaints.append(Complaint(route.ingress, message))
        return False

    def _proxied(self, route: Route, name: str) -> Iterator[Json]:
        yield from _changes(route, name)
        if route.canary is None or not route.canary.options.canary_weight:
            yield _proxy(route.options, route.backend)
        else:
            yield _split(route, route.canary)


def _subroute(routes: list[Json]) -> list[Json]:
    return [{"handler": "subroute", "routes": routes}]


def _answer(status: int, body: str = "", **headers: str) -> Json:
    found: Json = {"handler": "static_response", "status_code": status, "body": body}
    if headers:
        found["headers"] = {key.replace("_", "-"): [value] for key, value in headers.items()}
    return found


_NOT_FOUND = _answer(404, "<html><body><h1>404 Not Found</h1></body></html>\n", Content_Type="text/html")
_TLS: Json = {"alpn": ["http/1.1"]}
_FORWARDED: Json = {
    "handler": "subroute",
    "routes": [
        {
            "match": [{"not": [{"header": {"X-Request-ID": ["*"]}}]}],
            "handle": [
                {"handler": "headers", "request": {"set": {"X-Request-ID": ["{http.request.uuid}"]}}},
            ],
        }
    ],
}


def _from(networks: Any) -> Json:
    return {"remote_ip": {"ranges": [str(network) for network in networks]}}


def _redirects(route: Route) -> Iterator[Json]:
    options = route.options
    if options.permanent_redirect:
        yield {"handle": [_moved(options.permanent_redirect, options.permanent_redirect_code)]}
    elif options.temporal_redirect:
        yield {"handle": [_moved(options.temporal_redirect, options.temporal_redirect_code)]}
    elif options.force_ssl_redirect or (route.tls and options.ssl_redirect):
        secure = _answer(options.ssl_redirect_code, Location="https://{http.request.host}{http.request.uri}")
        yield {"match": [{"protocol": "http"}], "handle": [secure]}
    if options.app_root:
        yield {"match": [{"path_regexp": {"pattern": "^/$"}}], "handle": [_moved(options.app_root, 302)]}


def _moved(location: str, code: int) -> Json:
    return _answer(code, Location=literal(location))


def _cors(options: Options) -> Iterator[Json]:
    """As ingress-nginx: the origin is allowed by name or by `*.`; a preflight is answered here."""
    origins = "|".join(re.escape(literal(item)).replace(r"\*", r"[a-zA-Z0-9-]+") for item in options.cors_allow_origin)
    everybody = options.cors_allow_origin == ("*",)
    headers = {"Access-Control-Allow-Origin": ["*" if everybody else "{http.request.header.Origin}"]}
    if options.cors_allow_credentials:
        headers["Access-Control-Allow-Credentials"] = ["true"]
    if options.cors_expose_headers:
        headers["Access-Control-Expose-Headers"] = [literal(options.cors_expose_headers)]
    asked = {
        "Access-Control-Allow-Methods": [literal(options.cors_allow_methods)],
        "Access-Control-Allow-Headers": [literal(options.cors_allow_headers)],
        "Access-Control-Max-Age": [str(options.cors_max_age)],
    }
    match: Json = {} if everybody else {"header_regexp": {"Origin": {"pattern": f"^(?:{origins})$"}}}
    flight = {"handler": "static_response", "status_code": 204, "headers": {**headers, **asked}}
    yield {"match": [{"method": ["OPTIONS"], **match}], "handle": [flight]}
    changed = {"handle": [{"handler": "headers", "response": {"set": {**headers, **asked}, "deferred": True}}]}
    yield {"match": [match], **changed} if match else changed


def _changes(route: Route, name: str) -> Iterator[Json]:
    """What of the request is another for the backend."""
    options = route.options
    if not options.rewrite_target:
        return
    groups = route.pattern.groups if route.pattern is not None else 0

    def group(found: re.Match[str]) -> str:
        return f"{{http.regexp.{name}.{found[1]}}}" if int(found[1]) <= groups else ""

    path = re.sub(r"\$([0-9])", group, literal(options.rewrite_target))
    yield {"handle": [{"handler": "rewrite", "uri": path if path.startswith("/") else "/" + path}]}


def _proxy(options: Options, backend: Backend) -> Json:
    served = backend.endpoints and all(_ADDRESS.fullmatch(host) for host, _ in backend.endpoints)
    if not served:
        return {"handle": [_answer(503, "Service Temporarily Unavailable")]}
    return {"handle": [_reverse(options, backend, _dials(backend), _policy(options, backend))]}


def _split(route: Route, canary: Canary) -> Json:
    """Both backends' endpoints, weighted so that the canary gets its part."""
    options, main, other = canary.options, route.backend, canary.backend
    total = max(options.canary_weight_total, 1)
    part = min(options.canary_weight, total)
    if not (main.endpoints and other.endpoints) or part == total or route.options.affinity:
        return _proxy(route.options, other if part == total and other.endpoints else main)
    weights = [(total - part) * len(other.endpoints)] * len(main.endpoints)
    weights += [part * len(main.endpoints)] * len(other.endpoints)
    policy = {"policy": "weighted_round_robin", "weights": weights}
    return {"handle": [_reverse(route.options, main, [*_dials(main), *_dials(other)], policy)]}


def _dials(backend: Backend) -> list[Json]:
    return [{"dial": f"[{host}]:{port}" if ":" in host else f"{host}:{port}"} for host, port in backend.endpoints]


def _policy(options: Options, backend: Backend) -> Json:
    if not options.affinity:
        return {"policy": "round_robin"}
    cookie: Json = {"policy": "cookie", "name": literal(options.cookie_name), "fallback": {"policy": "round_robin"}}
    cookie["secret"] = hashlib.sha256(backend.name.encode()).hexdigest()[:16]  # names an endpoint, guards nothing
    if options.cookie_max_age:
        cookie["max_age"] = options.cookie_max_age * _NANOSECONDS
    return cookie


def _reverse(options: Options, backend: Backend, upstreams: list[Json], policy: Json) -> Json:
    host = literal(options.upstream_vhost) if options.upstream_vhost else "{http.request.hostport}"
    headers = {
        "Host": [host],
        "X-Real-IP": ["{http.request.remote.host}"],
        "X-Forwarded-Host": ["{http.request.hostport}"],
        "X-Forwarded-Port": ["{http.request.port}"],
        "X-Forwarded-Scheme": ["{http.request.scheme}"],
        "X-Scheme": ["{http.request.scheme}"],
        "X-Original-Forwarded-For": ["{http.request.header.X-Forwarded-For}"],
        "Forwarded": ['for={http.request.remote.host};host="{http.request.hostport}";proto={http.request.scheme}'],
    }
    if options.x_forwarded_prefix:
        headers["X-Forwarded-Prefix"] = [literal(options.x_forwarded_prefix)]
    tries = options.next_upstream_tries or len(upstreams)
    return {
        "handler": "reverse_proxy",
        "upstreams": upstreams,
        "headers": {"request": {"set": headers}},
        "flush_interval": -1,
        "stream_close_delay": 240 * _NANOSECONDS,
        "load_balancing": {
            "selection_policy": policy,
            "retries": max(0, tries - 1) if options.next_upstream else 0,
        },
        "transport": {
            "protocol": "http",
            "dial_timeout": int(options.connect_timeout * _NANOSECONDS),
            "response_header_timeout": int(options.read_timeout * _NANOSECONDS),
            "compression": False,
            "keep_alive": {"enabled": not backend.through_service},
        },
    }


def _canary(canary: Canary) -> Iterator[tuple[Json, bool]]:
    """Matchers in the order of precedence, and whether what they match goes to the canary: header, then cookie."""
    options = canary.options
    if options.canary_by_header:
        header = literal(options.canary_by_header)
        if options.canary_by_header_value:
            yield {"header": {header: [literal(options.canary_by_header_value)]}}, True
        elif options.canary_by_header_pattern:
            yield {"header_regexp": {header: {"pattern": checked(options.canary_by_header_pattern)}}}, True
        else:
            yield {"header": {header: ["always"]}}, True
            yield {"header": {header: ["never"]}}, False
    if options.canary_by_cookie:
        for word, goes in (("always", True), ("never", False)):
            cookie = f"(?:^|;\\s*){re.escape(options.canary_by_cookie)}={word}(?:;|$)"
            yield {"header_regexp": {"Cookie": {"pattern": cookie}}}, goes
