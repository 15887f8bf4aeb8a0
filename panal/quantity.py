"""Kubernetes quantities: `100m`, `1.5`, `10Gi`, `1e3` (k8s.io/apimachinery resource.Quantity), exact."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1), "k": Decimal(10**3),
    "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
}  # fmt: skip
_PATTERN = re.compile(
    r"([+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30}))(?:(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E)|[eE]([+-]?\d{1,3}))?"
)


class QuantityError(ValueError):
    """Not a quantity."""


@lru_cache(4096)
def parse(text: str | int | float) -> Decimal:
    """The value of a quantity. Raises QuantityError in Kubernetes' words."""
    match = _PATTERN.fullmatch(str(text))
    if match is None:
        raise QuantityError(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    number, suffix, exponent = match.groups()
    value = Decimal(number)
    if exponent is not None:
        return value.scaleb(int(exponent))
    if suffix in _BINARY:
        return value * _BINARY[suffix]
    return value * _DECIMAL[suffix or ""]


def milli(text: str | int | float) -> int:
    """Thousandths, rounded up, as schedulers count CPU."""
    return int((parse(text) * 1000).to_integral_value(ROUND_CEILING))


def whole(text: str | int | float) -> int:
    """Whole units, rounded up: bytes of memory, a count."""
    return int(parse(text).to_integral_value(ROUND_CEILING))


def format_binary(value: int) -> str:
    """Bytes in the largest binary unit that keeps them exact: 10737418240 -> 10Gi."""
    for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
        unit = _BINARY[suffix]
        if value and value % unit == 0:
            return f"{value // unit}{suffix}"
    return str(value)


def format_milli(value: int) -> str:
    """Thousandths as Kubernetes prints CPU: 1500 -> 1500m, 2000 -> 2."""
    return f"{value // 1000}" if value % 1000 == 0 else f"{value}m"
