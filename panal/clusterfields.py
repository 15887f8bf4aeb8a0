"""Fields of a document that a user wrote: each is read as what it must be, or refused with its path and the way out."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from .quantity import parse as parse_quantity

HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
WORD = re.compile(r"[A-Za-z0-9_./-]{1,80}")

Section = Mapping[str, Any]


class ClusterFileError(ValueError):
    """A configuration that can't be used; the message is a sentence for the user."""


class _Shown(reprlib.Repr):
    """Values in messages: what a file holds may be huge, or hold itself."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80

    def repr_int(self, value: int, level: int) -> str:
        return str(value) if value.bit_length() < 256 else "a huge number"


shown = _Shown().repr


class Fields:
    """Reads fields of the document called `source`; each method raises ClusterFileError."""

    def __init__(self, source: str) -> None:
        self._source = source

    def fail(self, path: str, reason: str, way_out: str) -> ClusterFileError:
        return ClusterFileError(f"{self._source}: {path}: {reason}; {way_out}.")

    def known(self, section: Section, path: str, fields: Sequence[str]) -> None:
        for field in section:
            if field not in fields:
                named = field if isinstance(field, str) and WORD.fullmatch(field) else shown(field)
                place = f"{path}.{named}" if path else named
                raise self.fail(place, "there is no such field", f"known ones are {', '.join(fields)}")

    def mapping(self, section: Section, field: str, path: str) -> Section:
        value = section.get(field)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.fail(f"{path}.{field}".lstrip("."), "is not a mapping", "write its fields below it, indented")
        return value

    def items(self, spec: Section, field: str, path: str = "spec") -> list[tuple[str, Section]] | None:
        value = spec.get(field)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.fail(f"{path}.{field}", "is not a list of mappings", "begin each item with a hyphen")
        return [(f"{path}.{field}[{index}]", item) for index, item in enumerate(value)]

    def text(self, section: Section, field: str, path: str, default: str | None = None) -> str:
        value = section.get(field, default)
        if value is None:
            raise self.fail(f"{path}.{field}", "is missing", "write it")
        if not isinstance(value, str):
            raise self.fail(f"{path}.{field}", f"is {shown(value)}, not a text", "put it in quotes")
        return value

    def choice(self, section: Section, field: str, path: str, choices: Sequence[str], default: str) -> str:
        value = self.text(section, field, path, default)
        if value not in choices:
            raise self.fail(f"{path}.{field}", f"is {shown(value)}", f"choose one of {', '.join(choices)}")
        return value

    def number(self, section: Section, field: str, path: str, low: int, high: int, default: int | None = None) -> int:
        value = section.get(field, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            reason = "is missing" if value is None else f"is {shown(value)}"
            raise self.fail(f"{path}.{field}", reason, f"write a whole number from {low} to {high}")
        return value

    def flag(self, section: Section, field: str, path: str, default: bool) -> bool:
        value = section.get(field, default)
        if not isinstance(value, bool):
            raise self.fail(f"{path}.{field}", f"is {shown(value)}", "write true or false")
        return value

    def address(self, section: Section, field: str, path: str, default: str | None = None) -> str:
        value = self.text(section, field, path, default)
        try:
            return str(IPv4Address(value))
        except ValueError:
            raise self.fail(
                f"{path}.{field}", f"{shown(value)} is no IPv4 address", "write one such as 192.168.0.10"
            ) from None

    def cidr(self, spec: Section, field: str, default: str) -> str:
        value = self.text(spec, field, "spec", default)
        try:
            return str(IPv4Network(value))
        except ValueError as error:
            raise self.fail(
                f"spec.{field}", f"{shown(value)} is no IPv4 network ({error})", f"write one such as {default}"
            ) from None

    def host_name(self, section: Section, path: str, default: str | None = None) -> str:
        value = self.text(section, "name", path, default)
        if not HOST_NAME.fullmatch(value):
            raise self.fail(
                f"{path}.name",
                f"{shown(value)} is no host name",
                "use lower-case letters, digits and hyphens, at most 63",
            )
        return value

    def domain(self, section: Section, field: str, path: str, default: str) -> str:
        return self.check_domain(self.text(section, field, path, default), f"{path}.{field}")

    def check_domain(self, value: object, path: str) -> str:
        if not isinstance(value, str) or len(value) > 253 or not DOMAIN.fullmatch(value):
            raise self.fail(path, f"{shown(value)} is no domain", "write one such as miempresa.com, in lower case")
        return value

    def quantity(self, section: Section, field: str, path: str, default: str) -> str:
        value = section.get(field, default)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        try:
            text = str(value) if number else value
            good = isinstance(text, str) and 0 < parse_quantity(text) < 2**63
        except (ValueError, ArithmeticError):
            good = False
        if not good:
            raise self.fail(f"{path}.{field}", f"{shown(value)} is no quantity", f"write one such as {default}")
        return str(text)
