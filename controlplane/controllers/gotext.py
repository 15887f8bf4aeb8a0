"""How Go sees a pod template: the text of which Kubernetes' names of ReplicaSets and revisions are hashes. Pure.

`dump` is what go-spew prints of the struct (`%#v`, sorted keys, no methods), `encode` what encoding/json writes of it.
`gotypes.json` has the structs of k8s.io/api 0.36 that a template can contain: Go's name, the name in JSON (with `!`
where an empty value is written, too) and the type of each field, in the order of declaration.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Mapping
from decimal import ROUND_UP, Decimal
from pathlib import Path
from typing import Any

import orjson

TEMPLATE = "v1.PodTemplateSpec"
_ZERO_TIME = "{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}"
_AMOUNT = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+)|([A-Za-z]*))\Z")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_FAST = 18
"""Digits up to which Go keeps an amount as an int64."""
_MOST = 2**63 - 1


@functools.cache
def _structs() -> dict[str, list[tuple[str, str, str]]]:
    text = Path(__file__).with_name("gotypes.json").read_bytes()
    found: dict[str, list[tuple[str, str, str]]] = orjson.loads(text)
    for fields in found.values():
        fields[:] = [(sys.intern(go), sys.intern(name), sys.intern(type_)) for go, name, type_ in fields]
    return found


def dump(kind: str, value: Any) -> str:
    """The value of a Go type, with the type's name before it."""
    if not kind.startswith("*"):
        return f"({kind}){_bare(kind, value)}"
    return f"({kind})<nil>" if value is None else f"({kind}){_bare(kind[1:], value)}"


def _bare(kind: str, value: Any) -> str:
    if value is None:
        return _nothing(kind)
    if kind.startswith("[]"):
        return f"[{' '.join(_bare(kind[2:], each) for each in value)}]" if value else "<nil>"
    if (of := _map_of(kind)) is not None:
        return f"map[{' '.join(f'{key}:{_bare(of, value[key])}' for key in sorted(value))}]" if value else "<nil>"
    match kind:
        case "bool":
            return "true" if value else "false"
        case "v1.Time":
            return _ZERO_TIME
        case "resource.Quantity":
            return _quantity(str(value))
        case "intstr.IntOrString":
            kind_, number, text = (1, 0, value) if isinstance(value, str) else (0, value, "")
            return f"{{Type:(intstr.Type){kind_} IntVal:(int32){number} StrVal:(string){text}}}"
    if (fields := _structs().get(kind)) is None:
        return str(value)
    shown = (f"{go}:{dump(type_, value.get(name.rstrip('!')) if name else value)}" for go, name, type_ in fields)
    return f"{{{' '.join(shown)}}}"


@functools.cache
def _nothing(kind: str) -> str:
    """The zero value."""
    if kind.startswith("[]") or _map_of(kind) is not None:
        return "<nil>"
    if kind in ("int32", "int64", "bool"):
        return "false" if kind == "bool" else "0"
    if kind in ("v1.Time", "intstr.IntOrString") or kind in _structs():
        return _bare(kind, 0 if kind == "intstr.IntOrString" else {})
    return _amount(0, 0, "", "") if kind == "resource.Quantity" else ""


def _map_of(kind: str) -> str | None:
    """What a map's values are; None for no map."""
    return {"map[string]string": "string", "v1.ResourceList": "resource.Quantity"}.get(kind)


def _quantity(text: str) -> str:
    """As ParseQuantity leaves it: an int64 and a scale, or, where precision might be lost, a number of any size."""
    found = _AMOUNT.match(text)
    if text == "0" or found is None:
        return _amount(0, 0, text, "DecimalSI")
    sign, whole, fraction, power, suffix = found[1], found[2].lstrip("0") or "0", found[3] or "", found[4], found[5]
    binary = suffix in _BINARY
    exponent = int(power) if power is not None else _BINARY[suffix] if binary else _DECIMAL.get(suffix or "", 0)
    form = "BinarySI" if binary else "DecimalSI" if power is None else "DecimalExponent"
    digits, scale = whole + fraction, 0 if binary else exponent - len(fraction)
    precision = _FAST - len(digits)
    if binary:
        precision = -1 if fraction else 15 - len(whole) - exponent * 3 // 10 - 1
    amount = int(digits) << (exponent if binary else 0)
    if precision >= 0 and scale >= -9 and amount <= _MOST:
        plain = scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"
        kept = exponent % 10 == 0 and int(digits) & 7 != 0 if binary else plain
        return _amount(-amount if sign == "-" else amount, scale, text if kept else "", form)
    return _big(Decimal(f"{whole}.{fraction or 0}") * (2**exponent if binary else Decimal(10) ** exponent), sign, form)


def _amount(value: int, scale: int, text: str, form: str) -> str:
    return (
        f"{{i:(resource.int64Amount){{value:(int64){value} scale:(resource.Scale){scale}}} "
        f"d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){text} Format:(resource.Format){form}}}"
    )


def _big(value: Decimal, sign: str, form: str) -> str:
    """Nanos, rounded up, but no more binary ones than an int64 holds."""
    scale, unscaled = 9, int((value * 10**9).to_integral_value(ROUND_UP))
    if form == "BinarySI" and value > _MOST:
        scale, unscaled = 0, _MOST
    form = "DecimalSI" if form == "BinarySI" and 0 < value < 1 else form
    words = []
    while unscaled:
        words.append(str(unscaled & (2**64 - 1)))
        unscaled >>= 64
    number = f"(big.Int){{neg:(bool){'true' if sign == '-' else 'false'} abs:(big.nat)[{' '.join(words)}]}}"
    return (
        "{i:(resource.int64Amount){value:(int64)0 scale:(resource.Scale)0} "
        f"d:(resource.infDecAmount){{Dec:(*inf.Dec){{unscaled:{number} scale:(inf.Scale){scale}}}}} "
        f"s:(string) Format:(resource.Format){form}}}"
    )


def encode(kind: str, value: Any) -> Any:
    """What JSON has of a value of the type: nothing that is empty, but for what Go writes all the same."""
    if kind.startswith("*"):
        return None if value is None else encode(kind[1:], value)
    if kind.startswith("[]"):
        return [encode(kind[2:], each) for each in value] if value else None
    if (fields := _structs().get(kind)) is None:
        return _plain(kind) if value is None else value
    out: dict[str, Any] = {}
    for _, name, type_ in fields:
        found = encode(type_, (value or {}).get(name.rstrip("!")) if name else value)
        if not name:
            out |= found
        elif name.endswith("!") or found or type_.startswith("*") or type_ in _structs():
            if found is not None or name.endswith("!"):
                out[name.rstrip("!")] = found
    return out


def _plain(kind: str) -> Any:
    if _map_of(kind) is not None or kind == "v1.Time":
        return None
    return {"bool": False, "int32": 0, "int64": 0, "intstr.IntOrString": 0, "resource.Quantity": "0"}.get(kind, "")


def json(value: Mapping[str, Any]) -> bytes:
    """As encoding/json writes a map: sorted, and safe within HTML."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode()
