"""The heads that are sent on: what a proxy adds, changes and takes away, and the answers it gives itself. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from .heads import Request, Response
from .routes import Route

_SET_BY_US = frozenset({
    b"host", b"x-request-id", b"x-real-ip", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port",
    b"x-forwarded-proto", b"x-forwarded-scheme", b"x-scheme", b"x-original-forwarded-for", b"x-forwarded-prefix",
    b"forwarded",
})  # fmt: skip
_TRUSTED = (b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto")


@dataclass(frozen=True, slots=True)
class Peer:
    """The client's end of a connection, as headers need it."""

    address: bytes
    scheme: bytes
    port: bytes
    """The port the client connected to."""


def request_head(
    request: Request, route: Route, path: bytes, peer: Peer, request_id: bytes, *, trust_forwarded: bool = False
) -> bytes:
    """The head for the backend. Headers with underscores are left out, as nginx does: a backend's CGI environment
    can't tell X_Real_IP from X-Real-IP."""
    drop = request.drop
    seen: dict[bytes, bytes] = {}
    kept = []
    for lower, (name, value) in zip(request.lower, request.headers, strict=True):
        if lower in _SET_BY_US:
            seen[lower] = seen[lower] + b", " + value if lower in seen else value
        elif lower not in drop and b"_" not in name:
            kept.append(name + b": " + value + b"\r\n")
    forwarded_for, original = peer.address, seen.get(b"x-forwarded-for")
    host, port, proto = request.authority, peer.port, peer.scheme
    if trust_forwarded:
        if original:
            forwarded_for = original + b", " + peer.address
        host, port, proto = (seen.get(n) or own for n, own in zip(_TRUSTED, (host, port, proto), strict=True))
    forwarded = _forwarded(peer, request.authority)
    if trust_forwarded and (before := seen.get(b"forwarded")):
        forwarded = before + b", " + forwarded
    vhost = route.options.upstream_vhost
    lines = [
        b"%b %b HTTP/1.1\r\nHost: %b\r\nX-Request-ID: %b\r\nX-Real-IP: %b\r\nX-Forwarded-For: %b\r\n"
        b"X-Forwarded-Host: %b\r\nX-Forwarded-Port: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Scheme: %b\r\n"
        b"X-Scheme: %b\r\nForwarded: %b\r\n"
        % (
            request.method, path, vhost.encode() if vhost else request.authority, request_id, peer.address,
            forwarded_for, host, port, proto, proto, proto, forwarded,
        ),
        *kept,
    ]  # fmt: skip
    if original:
        lines.append(b"X-Original-Forwarded-For: " + original + b"\r\n")
    if route.options.x_forwarded_prefix:
        lines.append(b"X-Forwarded-Prefix: " + route.options.x_forwarded_prefix.encode() + b"\r\n")
    if request.upgrade:
        lines.append(b"Connection: upgrade\r\nUpgrade: " + request.upgrade + b"\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def _forwarded(peer: Peer, authority: bytes) -> bytes:
    """One element of Forwarded (RFC 7239); an authority holds nothing that could end a quoted string."""
    client = b'"[' + peer.address + b']"' if b":" in peer.address else peer.address
    return b'for=%b;host="%b";proto=%b' % (client, authority, peer.scheme)


def request_id_of(request: Request) -> bytes | None:
    """The id the client gave the request, if it is a sensible one."""
    return request.request_id if 0 < len(request.request_id) <= 128 else None


def response_head(
    response: Response,
    *,
    minor: int,
    keep_alive: bool,
    dechunked: bool = False,
    added: bytes = b"",
    replaced: frozenset[bytes] = frozenset(),
) -> bytes:
    """The head for the client, who speaks HTTP/1.`minor`: without the headers `replaced`, with the lines `added`."""
    drop = response.drop | replaced if replaced else response.drop
    lines = [b"HTTP/1.1 %d %b\r\n" % (response.status, response.reason)]
    for lower, (name, value) in zip(response.lower, response.headers, strict=True):
        if lower not in drop and not (dechunked and lower == b"transfer-encoding"):
            lines.append(name + b": " + value + b"\r\n")
    if response.status >= 200:
        if not keep_alive:
            lines.append(b"Connection: close\r\n")
        elif not minor:
            lines.append(b"Connection: keep-alive\r\n")
    lines.append(added + b"\r\n")
    return b"".join(lines)


def upgrade_head(response: Response) -> bytes:
    """101: Connection and Upgrade are what it is about, so they stay."""
    lines = [b"HTTP/1.1 101 %b\r\n" % response.reason]
    lines += [name + b": " + value + b"\r\n" for name, value in response.headers]
    return b"".join([*lines, b"\r\n"])


def own_answer(
    status: int, *, keep_alive: bool, head_only: bool = False, location: bytes | None = None, added: bytes = b""
) -> bytes:
    """An answer of the proxy itself: an error's page, a redirect, or 204. `added` are whole header lines."""
    if status == 204:
        connection = b"" if keep_alive else b"Connection: close\r\n"
        return b"HTTP/1.1 204 No Content\r\n" + added + connection + b"\r\n"
    phrase = _PHRASES.get(status) or HTTPStatus(status).phrase
    title = f"{status} {phrase}"
    body = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>panal ingress</center>\r\n</body>\r\n</html>\r\n"
    ).encode()
    lines = [f"HTTP/1.1 {title}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n".encode()]
    if location is not None:
        lines.append(b"Location: " + location + b"\r\n")
    lines.append(added)
    lines.append(b"Connection: keep-alive\r\n\r\n" if keep_alive else b"Connection: close\r\n\r\n")
    return b"".join(lines) + (b"" if head_only else body)


_PHRASES = {
    302: "Found", 308: "Permanent Redirect", 408: "Request Time-out", 413: "Request Entity Too Large",
    431: "Request Header Fields Too Large", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out",
}  # fmt: skip


def redirect(request: Request, route: Route, scheme: bytes) -> tuple[int, bytes] | None:
    """The status and location of the redirect that a route asks for, if it does."""
    options = route.options
    if options.permanent_redirect:
        return options.permanent_redirect_code, options.permanent_redirect.encode()
    if options.temporal_redirect:
        return options.temporal_redirect_code, options.temporal_redirect.encode()
    if scheme == b"http" and (options.force_ssl_redirect or (route.tls and options.ssl_redirect)) and request.host:
        return options.ssl_redirect_code, b"https://" + request.host + request.path
    if options.app_root and request.path == b"/":
        return 302, options.app_root.encode()
    return None
