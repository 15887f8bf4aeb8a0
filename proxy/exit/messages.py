"""What the forward proxy reads from a request's head, sends on, answers itself and logs. Pure.

Heads are read by the ingress' parser, which is strict: what two programs could understand differently goes nowhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from http import HTTPStatus

from ..ingress.heads import BadMessage, Request, Response, parse_request

_CONNECT = re.compile(rb"CONNECT ([^ :\[\]/@]{1,253}):([0-9]{1,5}) HTTP/1\.[01]\r\n")
_AUTHORITY = re.compile(rb"([^:\[\]/@]{1,253})(?::([0-9]{1,5}))?")
_TELLING = frozenset({
    b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip", b"forwarded", b"client-ip",
    b"proxy-authorization", b"proxy-connection", b"host", b"via",
})  # fmt: skip
"""Headers that name whoever asks, and those that are written anew."""


@dataclass(frozen=True)
class Asked:
    """Where a request is to go."""

    request: Request
    host: str
    """In lower case."""
    port: int
    tunnel: bool

    @property
    def url(self) -> str:
        target = self.request.target.decode("latin-1")
        return f"{self.host}:{self.port}" if self.tunnel else target


def read(head: bytes) -> Asked:
    """A whole head, the empty line included. Raises BadMessage."""
    if head.startswith(b"CONNECT "):
        return _tunnel(head)
    request = parse_request(head)
    if request.target[:7].lower() != b"http://":
        if request.target[:8].lower() == b"https://":
            raise BadMessage(501, "https is asked for with CONNECT")
        raise BadMessage(400, "this is a forward proxy: the request must name a whole URL, as in GET http://host/path")
    found = _AUTHORITY.fullmatch(request.authority)
    if found is None or not request.host:
        raise BadMessage(400, "the URL names no host")
    return Asked(request, request.host.decode("latin-1"), _port(found[2] or b"80"), tunnel=False)


def _tunnel(head: bytes) -> Asked:
    found = _CONNECT.match(head)
    if found is None:
        raise BadMessage(400, "CONNECT needs HOST:PORT")
    request = parse_request(b"OPTIONS * HTTP/1.1\r\n" + head[found.end() :])
    if request.framing != 0:
        raise BadMessage(400, "CONNECT has no body")
    return Asked(request, found[1].decode("latin-1").lower().rstrip("."), _port(found[2]), tunnel=True)


def _port(digits: bytes) -> int:
    if not 0 < int(digits) < 65536:
        raise BadMessage(400, "no such port")
    return int(digits)


def onward(asked: Asked, name: str) -> bytes:
    """The head for the web server: a path instead of the URL, our Via, and nothing that tells who asks."""
    request = asked.request
    lines = [
        b"%b %b HTTP/1.%d\r\nHost: %b\r\nVia: 1.%d %b\r\n"
        % (request.method, request.path, request.minor, request.authority, request.minor, name.encode())
    ]
    for lower, (field, value) in zip(request.lower, request.headers, strict=True):
        if lower not in request.drop and lower not in _TELLING:
            lines.append(field + b": " + value + b"\r\n")
    return b"".join([*lines, b"Connection: close\r\n\r\n"])


def back(response: Response, name: str, *, keep_alive: bool) -> bytes:
    """The head for whoever asked."""
    lines = [b"HTTP/1.1 %d %b\r\n" % (response.status, response.reason)]
    for lower, (field, value) in zip(response.lower, response.headers, strict=True):
        if lower not in response.drop:
            lines.append(field + b": " + value + b"\r\n")
    if response.status >= 200:
        lines.append(b"Via: 1.%d %b\r\n" % (response.minor, name.encode()))
        lines.append(b"Connection: keep-alive\r\n" if keep_alive else b"Connection: close\r\n")
    return b"".join([*lines, b"\r\n"])


def refusal(status: int, why: str, name: str, *, head_only: bool = False) -> bytes:
    """The proxy's own answer, with the reason for people in the page and for programs in Proxy-Status (RFC 9209)."""
    title = f"{status} {HTTPStatus(status).phrase}"
    page = (
        f"<html><head><title>{title}</title></head>\n<body><h1>{title}</h1>\n<p>{escape(why)}</p>\n"
        f"<hr><p>{escape(name)}, the way out of this network</p></body></html>\n"
    ).encode("utf-8", "replace")
    kind = _KINDS.get(status, "http_request_error")
    shown = re.sub(r'[^\x20-\x7e]|["\\]', "?", why)
    head = (
        f"HTTP/1.1 {title}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(page)}\r\n"
        f'Proxy-Status: {name}; error={kind}; details="{shown}"\r\nConnection: close\r\n\r\n'
    ).encode()
    return head if head_only else head + page


_KINDS = {403: "http_request_denied", 502: "destination_unavailable", 504: "connection_timeout"}

_UNSAFE = re.compile(r"[^\x21-\x7e]")


@dataclass
class Line:
    """One request of the access log."""

    client: str
    method: str = "-"
    url: str = "error:invalid-request"
    status: int = 0
    sent: int = 0
    result: str = "NONE"
    server: str = ""

    def text(self, now: float, began: float) -> str:
        """Squid's native format: time, milliseconds, client, result/status, bytes, method, URL, user, way, type."""
        way = f"HIER_DIRECT/{self.server}" if self.server else "HIER_NONE/-"
        words = (
            f"{now:.3f} {max(now - began, 0) * 1000:6.0f} {self.client} {self.result}/{self.status:03d} {self.sent} "
            f"{self._plain(self.method)} {self._plain(self.url)} - {way} -\n"
        )
        return words

    def _plain(self, text: str) -> str:
        """Nothing in a request can end a field or the line."""
        return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)[:2048]
