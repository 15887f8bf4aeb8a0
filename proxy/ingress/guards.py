"""What stands before a route: who may come, from where, and what a browser of another origin may do. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from .annotations import Options
from .heads import Request


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer that a request gets instead of a backend's. `headers` are whole lines."""

    status: int
    headers: bytes = b""


def judge(request: Request, options: Options, address: str, scheme: bytes = b"http") -> Verdict | None:
    """None lets the request through; `address` is the client's."""
    if options.denied or (options.only_scheme and options.only_scheme.encode() != scheme):
        return Verdict(503)
    if request.method == b"OPTIONS" and options.enable_cors and (allowed := cors(request, options)):
        return Verdict(204, allowed + b"Content-Type: text/plain charset=UTF-8\r\n")
    if (options.allowed_from is not None or options.denied_from is not None) and not _may_come(options, address):
        return Verdict(403)
    return None


def _may_come(options: Options, address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if options.denied_from is not None and found in options.denied_from:
        return False
    return options.allowed_from is None or found in options.allowed_from


def client_address(request: Request, peer: str, *, trust_forwarded: bool) -> str:
    """Who asks: the connection's other end or, where whoever is there is trusted, the first that it names."""
    if trust_forwarded and (named := header(request, b"x-forwarded-for")):
        return named.split(b",")[0].strip().decode("latin-1")
    return peer


def header(request: Request, name: bytes) -> bytes:
    """The first header of that name (lower case); empty where there is none."""
    try:
        return request.headers[request.lower.index(name)][1].rstrip(b" \t")
    except ValueError:
        return b""


def cookie(request: Request, name: bytes) -> bytes:
    """A cookie's value; empty where there is none."""
    for lower, (_, value) in zip(request.lower, request.headers, strict=True):
        if lower == b"cookie":
            for pair in value.split(b";"):
                key, _, found = pair.strip().partition(b"=")
                if key == name:
                    return found
    return b""


CORS_HEADERS = frozenset({
    b"access-control-allow-origin", b"access-control-allow-credentials", b"access-control-allow-methods",
    b"access-control-allow-headers", b"access-control-expose-headers", b"access-control-max-age",
})  # fmt: skip
"""What the backend says of these is replaced."""


def cors(request: Request, options: Options) -> bytes:
    """The lines for a request's origin; none for an origin that isn't allowed."""
    if options.cors_allow_origin == ("*",):
        return _cors_lines(b"*", options)
    origin = header(request, b"origin")
    if origin and len(origin) <= 300 and _is_allowed(origin.decode("latin-1"), options.cors_allow_origin):
        return _cors_lines(origin, options)
    return b""


def _is_allowed(origin: str, allowed: tuple[str, ...]) -> bool:
    return any(_origin_pattern(item).fullmatch(origin) for item in allowed)


@lru_cache(256)
def _origin_pattern(allowed: str) -> re.Pattern[str]:
    return re.compile(re.escape(allowed).replace(r"\*", "[A-Za-z0-9-]+", 1), re.IGNORECASE)


def _cors_lines(origin: bytes, options: Options) -> bytes:
    lines = [b"Access-Control-Allow-Origin: " + origin]
    if options.cors_allow_credentials:
        lines.append(b"Access-Control-Allow-Credentials: true")
    lines.append(b"Access-Control-Allow-Methods: " + options.cors_allow_methods.encode())
    lines.append(b"Access-Control-Allow-Headers: " + options.cors_allow_headers.encode())
    if options.cors_expose_headers:
        lines.append(b"Access-Control-Expose-Headers: " + options.cors_expose_headers.encode())
    lines.append(b"Access-Control-Max-Age: %d" % options.cors_max_age)
    return b"\r\n".join([*lines, b""])


def credentials(request: Request) -> tuple[str, bytes] | None:
    """User and password of the Authorization header (RFC 7617), if it is one of this kind."""
    scheme, _, encoded = header(request, b"authorization").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user.decode("utf-8", "surrogateescape"), password) if colon else None


def challenge(realm: str) -> Verdict:
    return Verdict(401, b'WWW-Authenticate: Basic realm="' + realm.encode() + b'"\r\n')
