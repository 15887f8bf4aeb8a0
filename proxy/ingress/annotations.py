"""What an Ingress' annotations ask for: those of ingress-nginx that people use, under its prefix or Panal's. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

PREFIXES = ("nginx.ingress.kubernetes.io/", "panal.dev/")
_SIZE = re.compile(r"([0-9]{1,15})([kKmMgG]?)")
_TIMES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SAFE_VALUE = re.compile(r"[\x21-\x7e]{1,1024}")


@dataclass(frozen=True, slots=True)
class Options:
    """How the requests of one Ingress are treated. Times are seconds, sizes bytes."""

    service_upstream: bool = False
    """Connect to the Service's ClusterIP instead of its endpoints, so that the node's rules choose the pod."""
    ssl_redirect: bool = True
    force_ssl_redirect: bool = False
    rewrite_target: str = ""
    use_regex: bool = False
    app_root: str = ""
    permanent_redirect: str = ""
    temporal_redirect: str = ""
    upstream_vhost: str = ""
    x_forwarded_prefix: str = ""
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    body_size: int = 0
    """The largest request body (with the lines of its chunks); 0 is no limit."""


DEFAULT = Options()


def options(annotations: Mapping[str, str]) -> tuple[Options, list[str]]:
    """The options, and a complaint for each annotation whose value makes no sense and is ignored."""
    found: dict[str, object] = {}
    complaints: list[str] = []
    for key, value in annotations.items():
        prefix = next((prefix for prefix in PREFIXES if key.startswith(prefix)), None)
        if prefix is None:
            continue
        if (known := _KNOWN.get(key[len(prefix) :])) is None:
            complaints.append(f"annotation {key} is not supported")
            continue
        field, read = known
        try:
            found[field] = read(value)
        except ValueError as error:
            complaints.append(f"annotation {key}: {error}")
    if found.get("rewrite_target") and "use_regex" not in found:
        found["use_regex"] = "$" in str(found["rewrite_target"])
    return (Options(**found) if found else DEFAULT), complaints  # type: ignore[arg-type]


def _flag(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError(f"{value!r} is not true or false")
    return value == "true"


def _seconds(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}s?", value) or not int(value.rstrip("s")):
        raise ValueError(f"{value!r} is no number of seconds")
    return float(value.rstrip("s"))


def _size(value: str) -> int:
    found = _SIZE.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is no size")
    return int(found[1]) * _TIMES[found[2].lower()]


def _text(value: str) -> str:
    """What ends up in a header or a request line: nothing there may break the line."""
    if not _SAFE_VALUE.fullmatch(value):
        raise ValueError(f"{value!r} holds what is not allowed in a header")
    return value


_KNOWN = {
    "service-upstream": ("service_upstream", _flag),
    "ssl-redirect": ("ssl_redirect", _flag),
    "force-ssl-redirect": ("force_ssl_redirect", _flag),
    "rewrite-target": ("rewrite_target", _text),
    "use-regex": ("use_regex", _flag),
    "app-root": ("app_root", _text),
    "permanent-redirect": ("permanent_redirect", _text),
    "temporal-redirect": ("temporal_redirect", _text),
    "upstream-vhost": ("upstream_vhost", _text),
    "x-forwarded-prefix": ("x_forwarded_prefix", _text),
    "proxy-connect-timeout": ("connect_timeout", _seconds),
    "proxy-read-timeout": ("read_timeout", _seconds),
    "proxy-body-size": ("body_size", _size),
}
