"""What is to be traced: a URL, or an address and port. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9.])?")
_PATH = re.compile(r"/[\x21-\x7e]*")
_PORTS = {"http": 80, "https": 443}
_BARE = ("tcp", "udp")


class Target(NamedTuple):
    scheme: str
    """http, https, tcp: connect only, or udp: one datagram."""
    host: str
    port: int
    path: str = "/"

    @property
    def authority(self) -> str:
        return self.host if _PORTS.get(self.scheme) == self.port else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        if self.scheme == "udp":
            return f"udp://{self.host}:{self.port}"
        return f"{self.host}:{self.port}" if self.scheme == "tcp" else f"{self.scheme}://{self.authority}{self.path}"


def parse(text: str) -> Target:
    """URL|HOST:PORT; a HOST alone is http. Raises ValueError with a sentence."""
    given = text if "://" in text else f"{'tcp' if ':' in text.partition('/')[0] else 'http'}://{text}"
    try:
        parts = urlsplit(given)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from error
    scheme = parts.scheme
    if scheme == "tcp" and (parts.path or parts.query):
        scheme = "http"
    if scheme not in (*_BARE, *_PORTS) or (scheme == "udp" and (parts.path or parts.query)):
        raise ValueError(f"{text!r}: only http, https, HOST:PORT and udp://HOST:PORT can be traced")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not port or not _HOST.fullmatch(host) or not _PATH.fullmatch(path):
        raise ValueError(f"{text!r} is no URL and no HOST:PORT")
    return Target(scheme, host, port, path)
