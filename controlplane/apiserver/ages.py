"""Durations as Kubernetes prints them in tables (k8s.io/apimachinery/pkg/util/duration, HumanDuration)."""

from __future__ import annotations

import datetime
from typing import Any

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_YEAR = 365 * _DAY


def parse(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def since(text: str | None, now: float) -> str:
    """How long ago an RFC 3339 time was; `<unknown>` without one."""
    return human(now - parse(text)) if text else "<unknown>"


def of(obj: dict[str, Any], now: float) -> str:
    """An object's age."""
    return since(obj["metadata"].get("creationTimestamp"), now)


def human(duration: float) -> str:
    """Two units at most, fewer as they grow: 59s, 1m59s, 9m59s, 10m, 3h5m, 2d3h, 8d, 2y100d."""
    seconds = int(duration)
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    if seconds < 2 * _MINUTE:
        return f"{seconds}s"
    if seconds < 10 * _MINUTE:
        return _pair(seconds // _MINUTE, "m", seconds % _MINUTE, "s")
    if seconds < 3 * _HOUR:
        return f"{seconds // _MINUTE}m"
    if seconds < 8 * _HOUR:
        return _pair(seconds // _HOUR, "h", seconds % _HOUR // _MINUTE, "m")
    if seconds < 2 * _DAY:
        return f"{seconds // _HOUR}h"
    if seconds < 8 * _DAY:
        return _pair(seconds // _DAY, "d", seconds % _DAY // _HOUR, "h")
    if seconds < 2 * _YEAR:
        return f"{seconds // _DAY}d"
    if seconds < 8 * _YEAR:
        return _pair(seconds // _YEAR, "y", seconds % _YEAR // _DAY, "d")
    return f"{seconds // _YEAR}y"


def _pair(large: int, first: str, small: int, second: str) -> str:
    return f"{large}{first}{small}{second}" if small else f"{large}{first}"
