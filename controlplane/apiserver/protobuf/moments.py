"""Times and durations between their JSON text and what messages count: seconds and nanoseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


def parse_time(text: str) -> tuple[int, int]:
    """Seconds since the epoch and nanoseconds of an RFC 3339 time. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    passed = moment - _EPOCH
    return passed.days * 86400 + passed.seconds, passed.microseconds * 1000


def format_time(seconds: int, nanos: int, *, micro: bool) -> str:
    """RFC 3339 as Kubernetes writes it. Raises ValueError for what is beyond the calendar."""
    try:
        moment = _EPOCH + timedelta(seconds=seconds + nanos // 10**9, microseconds=nanos % 10**9 // 1000)
    except OverflowError:
        raise ValueError("year is not in the range [1, 9999]") from None
    return moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + (f".{moment.microsecond:06d}Z" if micro else "Z")


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration such as 1m30s. Raises ValueError."""
    rest = text.lstrip("+-")
    pieces = _DURATION.findall(rest)
    if rest != "0" and "".join(number + unit for number, unit in pieces) != rest:
        raise ValueError(f"time: invalid duration {text!r}")
    total = sum(round(float(number) * _NANOSECONDS[unit]) for number, unit in pieces)
    return -total if text.startswith("-") else total


def format_duration(nanoseconds: int) -> str:
    """As Go's time.Duration says it: 1h0m0s, 1.5s, 200ms."""
    if nanoseconds == 0:
        return "0s"
    sign, rest = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    if rest < 10**9:
        unit = next(unit for unit in ("ms", "µs", "ns") if rest >= _NANOSECONDS[unit])
        return f"{sign}{_decimal(rest, _NANOSECONDS[unit])}{unit}"
    minutes, seconds = divmod(rest, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{front}{_decimal(seconds, 10**9)}s"


def _decimal(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    digits = len(str(unit)) - 1
    return f"{whole}.{part:0{digits}d}".rstrip("0") if part else str(whole)
