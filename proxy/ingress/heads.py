"""HTTP/1.1 message heads (RFC 9112): read strictly, so that no two programs see different messages in the same bytes.

Pure. One regular expression decides what a header line is; everything else of the message is passed on untouched.
What could be understood in two ways is refused: two lengths, a length and chunks, folded lines, bare line feeds,
spaces before colons (RFC 9112, 11.2 "Request Smuggling").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Framing = int | Literal["chunked", "close"]
"""How long the body is: a number of bytes, told by its chunks, or (responses only) all until the end."""

MAX_HEAD = 32 * 1024
"""Bytes of a request's line and headers: nginx' large_client_header_buffers as ingress-nginx sets them."""
MAX_HEADERS = 128
REMEMBERED, REMEMBERED_SIZE = 256, 1024
"""Clients and backends repeat themselves: the last heads are read once. So many, and none longer than that."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*+"
_FIELDS = re.compile(rb"([^:]++):[ \t]*+([^\r]*+)\r\n")
"""Takes apart what `_SECTION` has accepted."""
_SECTION = re.compile(rb"(?:" + _TOKEN + rb":" + _VALUE + rb"\r\n)*+")
"""All header lines. Possessive throughout: it takes as long as the section is, whatever is in it."""
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])\r\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z\-._~!$&'()*+,;=%]*)(?::[0-9]{0,5})?")

Headers = list[tuple[bytes, bytes]]
"""Names as they were sent, values without the space before them."""

HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"proxy-authenticate"})
"""Meant for the next hop only (RFC 9110, 7.6.1). Transfer-Encoding stays: the body is passed on as it is."""


class BadMessage(ValueError):
    """A message that must not be passed on. `status` is the answer it deserves."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(slots=True)
class Request:
    """A request's head."""

    method: bytes
    target: bytes
    """As it was sent: a path with its query, or an absolute URL."""
    minor: int
    """HTTP/1.`minor`."""
    headers: Headers
    lower: list[bytes]
    """The headers' names in lower case, in the same order."""
    framing: Framing
    host: bytes
    """The host asked for, in lower case, without a port."""
    authority: bytes
    """The Host header as it was sent."""
    path: bytes
    """The path of the target with its query; `*` for OPTIONS *."""
    keep_alive: bool
    upgrade: bytes
    """What protocol the client wants to change to; empty for none."""
    expects_continue: bool
    drop: frozenset[bytes]
    """Header names (lower case) that are for this hop only."""
    request_id: bytes = b""
    referer: bytes = b""
    user_agent: bytes = b""


@dataclass(slots=True)
class Response:
    """A response's head. `framing` supposes a request that was not HEAD."""

    status: int
    reason: bytes
    minor: int
    headers: Headers
    lower: list[bytes]
    framing: Framing
    keep_alive: bool
    drop: frozenset[bytes]


def _fields(head: bytes, start: int) -> Headers:
    """The header lines from `start` to the empty line that ends `head`."""
    if _SECTION.fullmatch(head, start, len(head) - 2) is None:
        raise BadMessage(400, "malformed header line")
    fields: Headers = _FIELDS.findall(head, start, len(head) - 2)
    if len(fields) > MAX_HEADERS:
        raise BadMessage(431, "too many headers")
    return fields


_PLAIN: frozenset[bytes] = HOP_BY_HOP


@dataclass(slots=True)
class _Seen:
    """What matters of the headers, gathered in one pass."""

    lower: list[bytes]
    length: int = -1
    codings: bytes = b""
    connection: bytes = b""
    upgrade: bytes = b""
    host: bytes | None = None
    expect: bytes = b""
    request_id: bytes = b""
    referer: bytes = b""
    user_agent: bytes = b""


_FRAMED_BY = frozenset({b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"host", b"expect"})
_LOGGED = frozenset({b"x-request-id", b"referer", b"user-agent"})
_LOOKED_AT = _FRAMED_BY | _LOGGED


def _look(headers: Headers) -> _Seen:
    seen = _Seen([name.lower() for name, _ in headers])
    for lower, (_, value) in zip(seen.lower, headers, strict=True):
        if lower in _LOOKED_AT:
            _note(seen, lower, value.rstrip(b" \t"))
    return seen


def _note(seen: _Seen, lower: bytes, value: bytes) -> None:
    if lower == b"content-length":
        if seen.length >= 0 or not _LENGTH.fullmatch(value):
            raise BadMessage(400, "Content-Length twice or no number")
        seen.length = int(value)
    elif lower == b"transfer-encoding":
        seen.codings = seen.codings + b"," + value if seen.codings else value
        if not value:
            raise BadMessage(400, "empty Transfer-Encoding")
    elif lower == b"connection":
        seen.connection += b"," + value.lower()
    elif lower == b"host":
        if seen.host is not None:
            raise BadMessage(400, "Host twice")
        seen.host = value
    elif lower == b"user-agent":
        seen.user_agent = value
    elif lower == b"referer":
        seen.referer = value
    elif lower == b"x-request-id":
        seen.request_id = value
    elif lower == b"upgrade":
        seen.upgrade = value
    else:
        seen.expect = value.lower()


def _framing(seen: _Seen, minor: int, otherwise: Framing) -> Framing:
    """RFC 9112, 6.3; only `chunked` alone is understood."""
    if not seen.codings:
        return seen.length if seen.length >= 0 else otherwise
    if seen.length >= 0:
        raise BadMessage(400, "both Content-Length and Transfer-Encoding")
    if minor == 0:
        raise BadMessage(400, "Transfer-Encoding in HTTP/1.0")
    if seen.codings.lower() != b"chunked":
        raise BadMessage(501, "unknown Transfer-Encoding")
    return "chunked"


def _options(seen: _Seen) -> tuple[frozenset[bytes], bool, bool]:
    """The header names to drop, and whether Connection says `close` or `keep-alive`."""
    if not seen.connection:
        return _PLAIN, False, False
    tokens = {token.strip() for token in seen.connection.split(b",")}
    tokens.discard(b"")
    extra = tokens - {b"close", b"keep-alive", b"content-length", b"transfer-encoding", b"host"}
    return (_PLAIN | extra if extra else _PLAIN), b"close" in tokens, b"keep-alive" in tokens


def parse_request(head: bytes) -> Request:
    """Read a whole head, the empty line included; raises BadMessage. Never change what it returns: it is shared."""
    return _remembered_request(head) if len(head) <= REMEMBERED_SIZE else _parse_request(head)


def parse_response(head: bytes) -> Response:
    """Read an upstream's head, the empty line included; raises BadMessage. Never change what it returns."""
    return _remembered_response(head) if len(head) <= REMEMBERED_SIZE else _parse_response(head)


def _parse_request(head: bytes) -> Request:
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise BadMessage(_line_status(head), "malformed request line")
    method, target, version = line.groups()
    headers = _fields(head, line.end())
    seen = _look(headers)
    minor = 1 if version == b"1" else 0
    framing = _framing(seen, minor, 0)
    drop, close, keep = _options(seen)
    authority, path = _authority(method, target, seen.host, minor)
    host = _HOST.fullmatch(authority)
    if host is None:
        raise BadMessage(400, "malformed Host")
    wants_upgrade = bool(seen.upgrade) and b"upgrade" in seen.connection and minor == 1
    if seen.upgrade[:3].lower() == b"h2c":  # requests inside that tunnel would never be seen here
        wants_upgrade = False
    return Request(
        method, target, minor, headers, seen.lower, framing, host[1].lower().rstrip(b"."), authority, path,
        keep_alive=not close and (minor == 1 or keep),
        upgrade=seen.upgrade if wants_upgrade else b"",
        expects_continue=seen.expect == b"100-continue" and minor == 1,
        drop=drop, request_id=seen.request_id, referer=seen.referer, user_agent=seen.user_agent,
    )  # fmt: skip


def _line_status(head: bytes) -> int:
    """505 for a version other than 1.0 and 1.1, else 400."""
    words = head.split(b"\r\n", 1)[0].split(b" ")
    return 505 if len(words) == 3 and re.fullmatch(rb"HTTP/(?!1\.[01])[0-9]\.[0-9]", words[2]) else 400


def _authority(method: bytes, target: bytes, host: bytes | None, minor: int) -> tuple[bytes, bytes]:
    """The host asked for and the path (RFC 9112, 3.2): an absolute target outranks the Host header."""
    if host is None and minor == 1:
        raise BadMessage(400, "no Host")
    if target.startswith(b"/"):
        return host or b"", target
    if target == b"*" and method == b"OPTIONS":
        return host or b"", target
    for scheme in (b"http://", b"https://"):
        if target[: len(scheme)].lower() == scheme:
            rest = target[len(scheme) :]
            cut = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
            path = rest[cut:]
            return rest[:cut], path if path.startswith(b"/") else b"/" + path
    raise BadMessage(405 if method == b"CONNECT" else 400, "a target that is neither path nor URL")


def _parse_response(head: bytes) -> Response:
    line = _STATUS_LINE.match(head)
    if line is None:
        raise BadMessage(502, "malformed status line")
    version, code, reason = line.groups()
    headers = _fields(head, line.end())
    seen = _look(headers)
    status, minor = int(code), 1 if version == b"1" else 0
    framing = 0 if status < 200 or status in (204, 304) else _framing(seen, minor, "close")
    drop, close, keep = _options(seen)
    alive = not close and (minor == 1 or keep) and framing != "close"
    return Response(status, reason or b"", minor, headers, seen.lower, framing, alive, drop)


_remembered_request = lru_cache(REMEMBERED)(_parse_request)
_remembered_response = lru_cache(REMEMBERED)(_parse_response)


def plain_path(path: bytes) -> str:
    """The path that rules are compared with: without its query, percent-decoded, `.` and `..` resolved, `//` merged."""
    raw = path.partition(b"?")[0].partition(b"#")[0]
    if b"%" in raw:
        raw = _PERCENT.sub(lambda found: bytes([int(found[1], 16)]), raw)
    text = raw.decode("utf-8", "surrogateescape")
    return _resolved(text) if "/." in text or "//" in text else text


_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")


def _resolved(path: str) -> str:
    parts: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            if parts:
                parts.pop()
        elif segment not in ("", "."):
            parts.append(segment)
    trailing = "/" if parts and segments[-1] in ("", ".", "..") else ""
    return "/" + "/".join(parts) + trailing
