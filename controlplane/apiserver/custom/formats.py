"""The formats of strings that schemas may ask for, as Kubernetes' validator knows them. Others are not checked."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import uuid
from collections.abc import Callable
from datetime import date
from urllib.parse import urlsplit

from panal import formats

_DURATION = re.compile(
    r"-?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w))*|0"
)
_LONG_DURATION = re.compile(
    r"\d+\s*(nanosec|nanoseconds?|ms|milli\w*|micro\w*|s|sec\w*|m|min\w*|h|hours?|d|days?|w|weeks?)"
)
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d([tT ])\d\d:\d\d:\d\d(\.\d+)?([zZ]|[+-]\d\d:?\d\d)")
_EMAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+")
_MAC = re.compile(r"([0-9A-Fa-f]{2}([:-])([0-9A-Fa-f]{2}\2){4}[0-9A-Fa-f]{2})|([0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}")
_HOSTNAME = re.compile(
    r"[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,62}[a-zA-Z0-9])?(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,62}[a-zA-Z0-9])?)*\.?"
)
_HEX_COLOR = re.compile(r"#?([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})")


def _address(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return check


def _cidr(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return "/" in text


def _uuid(version: int | None) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            found = uuid.UUID(text)
        except ValueError:
            return False
        return version is None or found.version == version

    return check


def _uri(text: str) -> bool:
    try:
        return bool(urlsplit(text).scheme) or text.startswith("/")
    except ValueError:
        return False


def _date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


def _date_time(text: str) -> bool:
    return bool(_DATE_TIME.fullmatch(text)) and _date(text[:10])


def _base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


_CHECKS: dict[str, Callable[[str], bool]] = {
    "uri": _uri,
    "email": lambda text: bool(_EMAIL.fullmatch(text)),
    "hostname": lambda text: len(text) <= 255 and bool(_HOSTNAME.fullmatch(text)),
    "ipv4": _address(4),
    "ipv6": _address(6),
    "cidr": _cidr,
    "mac": lambda text: bool(_MAC.fullmatch(text)),
    "uuid": _uuid(None),
    "uuid3": _uuid(3),
    "uuid4": _uuid(4),
    "uuid5": _uuid(5),
    "hexcolor": lambda text: bool(_HEX_COLOR.fullmatch(text)),
    "byte": _base64,
    "date": _date,
    "date-time": _date_time,
    "datetime": _date_time,
    "duration": lambda text: bool(_DURATION.fullmatch(text) or _LONG_DURATION.fullmatch(text)),
    "k8s-short-name": lambda text: not formats.label_name(text),
    "k8s-long-name": lambda text: not formats.subdomain_name(text),
}


def matches(name: str, text: str) -> bool:
    check = _CHECKS.get(name)
    return check is None or check(text)
