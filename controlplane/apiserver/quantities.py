"""Quantities in the one form that Kubernetes writes them: `0.5` is `500m`, `1024Mi` is `1Gi`, `1000m` is `1`."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal
from functools import lru_cache

from panal.quantity import parse

_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_NANO = Decimal("1e-9")
LARGEST = Decimal(2**63 - 1)
"""Larger quantities are taken for this one, as in Kubernetes."""


@lru_cache(4096)
def canonical(text: str) -> str:
    """The canonical text of a quantity. Raises QuantityError."""
    value = parse(text)
    if abs(value) >= LARGEST:
        return str(LARGEST.copy_sign(value))
    if value != value.quantize(_NANO, rounding=ROUND_UP):
        value = value.quantize(_NANO, rounding=ROUND_UP)
    if text.endswith("i") and abs(value) >= 1024 and value == int(value):
        return _binary(int(value))
    return _decimal(
        value, exponent="e" in text or (("E" in text) and not text.endswith("E") and not text.endswith("Ei"))
    )


def written(value: Decimal, *, binary: bool = False) -> str:
    """A number as a quantity; `binary` in Ki, Mi and so on where it is whole and large enough."""
    if binary and abs(value) >= 1024 and value == int(value):
        return _binary(int(value))
    return _decimal(value, exponent=False)


def _binary(value: int) -> str:
    power = 0
    while value % 1024 == 0 and power < len(_BINARY) - 1:
        value //= 1024
        power += 1
    return f"{value}{_BINARY[power]}"


def _decimal(value: Decimal, *, exponent: bool) -> str:
    if not value:
        return "0"
    power = -9
    mantissa = int(value.scaleb(9))
    while mantissa % 1000 == 0 and power < 18:
        mantissa //= 1000
        power += 3
    if exponent:
        return f"{mantissa}e{power}" if power else str(mantissa)
    return f"{mantissa}{_DECIMAL[power]}"
