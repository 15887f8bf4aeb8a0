"""Which requests go to a canary, and which endpoint a session's cookie means (ingress-nginx' rules). Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .annotations import Options
from .guards import cookie, header
from .heads import Request

if TYPE_CHECKING:
    from .routes import Address, Backend

MAX_MATCHED = 1024
"""Bytes of a header that a pattern reads."""


def to_canary(request: Request, options: Options, draw: float) -> bool:
    """Whether a canary's rules take the request: header first, then cookie, then weight. `draw` is in [0, 1)."""
    if options.canary_by_header:
        said = header(request, options.canary_by_header.lower().encode())
        if (decided := _by_header(said, options)) is not None:
            return decided
    if options.canary_by_cookie:
        said = cookie(request, options.canary_by_cookie.encode())
        if said in (b"always", b"never"):
            return said == b"always"
    total = max(options.canary_weight_total, 1)
    return draw * total < options.canary_weight


def _by_header(said: bytes, options: Options) -> bool | None:
    """None where the header decides nothing."""
    if not said:
        return None
    if options.canary_by_header_value:
        return True if said == options.canary_by_header_value.encode() else None
    if options.canary_by_header_pattern:
        pattern = compiled(options.canary_by_header_pattern)
        text = said[:MAX_MATCHED].decode("latin-1")
        return True if pattern is not None and pattern.search(text) else None
    return {b"always": True, b"never": False}.get(said)


@lru_cache(128)
def compiled(pattern: str) -> Any:
    """In RE2, whose time grows with the text only; None for what is no expression."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options=options)
    except re2.error:
        return None


@lru_cache(512)
def tokens(backend: Backend) -> Mapping[bytes, Address]:
    """Each endpoint's name in a cookie. It tells no address, and every controller gives the same."""
    return {token(backend.name, address): address for address in backend.endpoints}


def token(backend: str, address: Address) -> bytes:
    return hashlib.sha256(f"{backend} {address[0]}:{address[1]}".encode()).hexdigest()[:32].encode()


def session(request: Request, options: Options, backend: Backend) -> Address | None:
    """The endpoint that the request's cookie names, if it is still one."""
    value = cookie(request, options.cookie_name.encode())
    return tokens(backend).get(value) if value else None


def set_cookie(options: Options, value: bytes, path: str, *, secure: bool, now: float) -> bytes:
    """A whole Set-Cookie line; `now` in seconds since 1970."""
    parts = [options.cookie_name.encode() + b"=" + value]
    if options.cookie_expires:
        parts.append(b"Expires=" + formatdate(now + options.cookie_expires, usegmt=True).encode())
    if options.cookie_max_age:
        parts.append(b"Max-Age=%d" % options.cookie_max_age)
    if options.cookie_domain:
        parts.append(b"Domain=" + options.cookie_domain.encode())
    parts.append(b"Path=" + (options.cookie_path or path).encode())
    if secure or options.cookie_secure:
        parts.append(b"Secure")
    parts.append(b"HttpOnly")
    if options.cookie_samesite:
        parts.append(b"SameSite=" + options.cookie_samesite.encode())
    return b"Set-Cookie: " + b"; ".join(parts) + b"\r\n"
