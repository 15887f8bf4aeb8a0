"""The values that annotations may have, each read by one function that raises ValueError for anything else. Pure.

What ends up in a header or a request line is checked here, so that nothing there can end the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

_SIZE = re.compile(r"([0-9]{1,15})([kKmMgG]?)")
_TIMES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SAFE_VALUE = re.compile(r"[\x21-\x7e]{1,1024}")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")
_LIST = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ ]*,[ ]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+)*")
_ORIGIN = re.compile(r"https?://(?:\*\.)?[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?")
_REALM = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{0,256}")
_COOKIE_TEXT = re.compile(r"[\x21-\x2b\x2d-\x3a\x3c-\x7e]{1,256}")
_CONDITIONS = frozenset({
    "error", "timeout", "invalid_header", "off", "non_idempotent",
    *(f"http_{status}" for status in (403, 404, 429, 500, 502, 503, 504)),
})  # fmt: skip
MAX_LISTED = 256

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Networks:
    """Addresses that are meant together."""

    members: tuple[Network, ...]

    def __contains__(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.members)


def flag(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError(f"{value!r} is not true or false")
    return value == "true"


def seconds(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}s?", value) or not int(value.rstrip("s")):
        raise ValueError(f"{value!r} is no number of seconds")
    return float(value.rstrip("s"))


def whole(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def age(value: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,9}", value):
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def size(value: str) -> int:
    found = _SIZE.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is no size")
    return int(found[1]) * _TIMES[found[2].lower()]


def text(value: str) -> str:
    """What ends up in a header or a request line: nothing there may break the line."""
    if not _SAFE_VALUE.fullmatch(value):
        raise ValueError(f"{value!r} holds what is not allowed in a header")
    return value


def token(value: str) -> str:
    """A header's or a cookie's name."""
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"{value!r} is no name")
    return value


def names(value: str) -> str:
    """A list of header names or methods."""
    value = value.strip().rstrip(",")
    if len(value) > 4096 or not _LIST.fullmatch(value):
        raise ValueError(f"{value!r} is no list of names")
    return value


def realm(value: str) -> str:
    if not _REALM.fullmatch(value):
        raise ValueError(f"{value!r} is no realm")
    return value


def cookie_text(value: str) -> str:
    if not _COOKIE_TEXT.fullmatch(value):
        raise ValueError(f"{value!r} is not allowed in a cookie")
    return value


def networks(value: str) -> Networks:
    items = [item.strip() for item in value.split(",") if item.strip()]
    if not items or len(items) > MAX_LISTED:
        raise ValueError(f"{value!r} lists no networks")
    try:
        return Networks(tuple(ip_network(item) for item in items))
    except ValueError as error:
        raise ValueError(f"the annotation does not contain a valid IP address or network: {error}") from None


def origins(value: str) -> tuple[str, ...]:
    items = tuple(item.strip() for item in value.split(",") if item.strip())
    if not items or len(items) > MAX_LISTED or not all(item == "*" or _ORIGIN.fullmatch(item) for item in items):
        raise ValueError(f"{value!r} lists no origins")
    return ("*",) if "*" in items else items


def conditions(value: str) -> frozenset[str]:
    """When a request is tried on the next endpoint, as nginx' proxy_next_upstream lists it."""
    found = frozenset(value.split())
    if not found or found - _CONDITIONS:
        raise ValueError(f"{value!r} lists what is no condition")
    return frozenset() if "off" in found else found


def one_of(*choices: str) -> type[str]:
    """A reader for a closed choice."""

    class Choice(str):
        __slots__ = ()

        def __new__(cls, value: str) -> Choice:
            if value not in choices:
                raise ValueError(f"{value!r} is none of {', '.join(choices)}")
            return super().__new__(cls, value)

    return Choice
