"""Kubernetes' own functions of CEL, beyond the language's: strings, lists, sets, regular expressions, URLs, quantities.

https://kubernetes.io/docs/reference/using-api/cel/. A quantity is a mapping with one entry, so that two are equal when
their values are. Addresses are in addresses.py, versions in versions.py.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

from panal import quantity

from . import addresses, versions

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0,
          "w": 604800.0}  # fmt: skip
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_QUANTITY = "quantity"


def duration(text: str) -> datetime.timedelta:
    """A Go duration."""
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return datetime.timedelta(seconds=-seconds if text.startswith("-") else seconds)


def _index_of(value: Any, wanted: Any, start: int = 0) -> int:
    if isinstance(value, str):
        return value.find(wanted, start)
    return next((index for index, each in enumerate(value) if each == wanted), -1)


def _last_index_of(value: Any, wanted: Any) -> int:
    if isinstance(value, str):
        return value.rfind(wanted)
    return next((index for index in reversed(range(len(value))) if value[index] == wanted), -1)


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if not separator:
        return list(text)
    return text.split(separator, limit - 1 if limit > 0 else -1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= stop <= len(text):
        raise ValueError("substring index out of range")
    return text[start:stop]


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    return text.replace(old, new, limit)


def _join(parts: list[str], separator: str = "") -> str:
    return separator.join(parts)


def _find(text: str, pattern: str) -> str:
    import re2

    found = re2.search(pattern, text)
    return found.group() if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    import re2

    found = [each.group() for each in re2.finditer(pattern, text)]
    return found if limit < 0 else found[:limit]


def _sorted(items: list[Any]) -> bool:
    return all(one <= other for one, other in pairwise(items))


def _is_url(text: str) -> bool:
    try:
        found = urlsplit(text)
    except ValueError:
        return False
    return bool(found.scheme and (found.netloc or found.path)) or text.startswith("/")


def _url(text: str) -> dict[str, Any]:
    if not _is_url(text):
        raise ValueError(f"URL parse error: {text}")
    found = urlsplit(text)
    return {
        "scheme": found.scheme,
        "host": found.netloc.rpartition("@")[2],
        "hostname": found.hostname or "",
        "port": str(found.port or ""),
        "path": found.path,
        "query": parse_qs(found.query, keep_blank_values=True),
    }


def _number(value: Any) -> Decimal:
    return Decimal(value[_QUANTITY]) if isinstance(value, dict) else Decimal(str(value))


def _quantity(text: str) -> dict[str, str]:
    return {_QUANTITY: format(quantity.parse(text).normalize(), "f")}


def _is_quantity(text: Any) -> bool:
    try:
        quantity.parse(text)
    except (quantity.QuantityError, TypeError, AttributeError):
        return False
    return True


def _compare(one: Any, other: Any) -> int:
    return (_number(one) > _number(other)) - (_number(one) < _number(other))


def _made(value: Decimal) -> dict[str, str]:
    return {_QUANTITY: format(value.normalize(), "f")}


_VERB = re.compile(r"%(?:\.(\d+))?([a-zA-Z%])")


_PRECISION = 100
"""Digits after the point at most."""


def _format(text: str, values: list[Any]) -> str:
    """'%s is %.2f'.format([...]). Raises ValueError for clauses that do not fit the values."""
    left = list(values)

    def one(match: re.Match[str]) -> str:
        if match[2] == "%":
            return "%"
        if not left:
            raise ValueError(f"index {len(values)} out of range")
        precision = int(match[1]) if match[1] else 6
        if precision > _PRECISION:
            raise ValueError(f"precision {precision} is more than {_PRECISION}")
        return _formatted(match[2], left.pop(0), precision)

    return _VERB.sub(one, text)


def _formatted(verb: str, value: Any, precision: int) -> str:
    if verb == "s":
        return _text(value)
    if verb in "bdoxX" and isinstance(value, str) and verb in "xX":
        return value.encode().hex() if verb == "x" else value.encode().hex().upper()
    if verb in "bdoxX":
        return format(int(value), verb)
    if verb in "fe":
        return format(float(value), f".{precision}{verb}")
    raise ValueError(f'unrecognized formatting clause "{verb}"')


def _text(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case None:
            return "null"
        case list():
            return f"[{', '.join(map(_text, value))}]"
        case dict():
            return "{" + ", ".join(f"{_text(key)}: {_text(value[key])}" for key in sorted(value)) + "}"
    return str(value)


def _within(items: list[Any], others: list[Any]) -> bool:
    return all(each in others for each in items)


def _order(one: Any, other: Any) -> int:
    """Of two quantities or two versions."""
    if isinstance(one, dict) and versions.SEMVER in one:
        mine, theirs = versions.key(one), versions.key(other)
        return int(mine > theirs) - int(mine < theirs)
    return _compare(one, other)


TABLE: dict[str, Callable[..., Any]] = {
    "charAt": lambda text, index: text[index : index + 1],
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "lowerAscii": lambda text: text.lower(),
    "upperAscii": lambda text: text.upper(),
    "replace": _replace,
    "split": _split,
    "join": _join,
    "substring": _substring,
    "trim": lambda text: text.strip(),
    "find": _find,
    "findAll": _find_all,
    "sum": lambda items: sum(items),
    "isSorted": _sorted,
    "isURL": _is_url,
    "url": _url,
    "getScheme": lambda url: url["scheme"],
    "getHost": lambda url: url["host"],
    "getHostname": lambda url: url["hostname"],
    "getPort": lambda url: url["port"],
    "getEscapedPath": lambda url: url["path"],
    "getQuery": lambda url: url["query"],
    "quantity": _quantity,
    "isQuantity": _is_quantity,
    "compareTo": _order,
    "isGreaterThan": lambda one, other: _order(one, other) > 0,
    "isLessThan": lambda one, other: _order(one, other) < 0,
    "asInteger": lambda value: int(_number(value)),
    "isInteger": lambda value: _number(value) == int(_number(value)),
    "asApproximateFloat": lambda value: float(_number(value)),
    "add": lambda one, other: _made(_number(one) + _number(other)),
    "sub": lambda one, other: _made(_number(one) - _number(other)),
    "sign": lambda value: _compare(value, 0),
    "escapeKey": lambda key: key.replace("~", "~0").replace("/", "~1"),
    "reverse": lambda value: value[::-1],
    "format": _format,
    "sets_contains": lambda items, others: _within(others, items),
    "sets_equivalent": lambda items, others: _within(items, others) and _within(others, items),
    "sets_intersects": lambda items, others: any(each in others for each in items),
    "semver": versions.semver,
    "isSemver": versions.is_semver,
    "major": lambda value: versions.number(value, 0),
    "minor": lambda value: versions.number(value, 1),
    "patch": lambda value: versions.number(value, 2),
    **addresses.TABLE,
}
"""By name; the value a method is called on is the first argument."""
