"""The small checks that the kinds' modules are made of: each returns the complaints about one field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, not_supported, required

Object = Mapping[str, Any]

NOT_NEGATIVE = "must be greater than or equal to 0"
POSITIVE = "must be greater than zero"


def items(found: Iterable[Any] | None, field: str) -> Iterator[tuple[Any, str]]:
    """The items of a list, each with its path."""
    for index, item in enumerate(found or ()):
        yield item, f"{field}[{index}]"


def formatted(value: str, field: str, check: Callable[[str], list[str]]) -> list[FieldError]:
    return [bad(field, value, complaint) for complaint in check(value)]


def name(value: str | None, field: str, check: Callable[[str], list[str]], missing: str = "") -> list[FieldError]:
    """A name that must be there and have a format."""
    return formatted(value, field, check) if value else [required(field, missing)]


def optional_name(value: str | None, field: str, check: Callable[[str], list[str]]) -> list[FieldError]:
    return formatted(value, field, check) if value else []


def lacking(found: Object, field: str, *keys: str) -> list[FieldError]:
    return [required(f"{field}.{key}") for key in keys if not found.get(key)]


def choice(value: str | None, field: str, supported: Iterable[str]) -> list[FieldError]:
    """One of several words, which must be there."""
    return optional_choice(value, field, supported) if value else [required(field)]


def optional_choice(value: str | None, field: str, supported: Iterable[str]) -> list[FieldError]:
    """One of several words, if it is there at all."""
    words = tuple(supported)
    return [] if value is None or value in words else [not_supported(field, value, words)]


def not_negative(found: Object, field: str, *keys: str) -> list[FieldError]:
    return [bad(f"{field}.{key}", found[key], NOT_NEGATIVE) for key in keys if (found.get(key) or 0) < 0]


_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", re.ASCII)


def domain_path(value: str, field: str) -> list[FieldError]:
    """A path below a domain, as `example.com/name`."""
    domain, slash, rest = value.partition("/")
    if not value:
        return [required(field)]
    if not slash or not domain or not rest:
        return [bad(field, value, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    errors = formatted(domain, field, formats.subdomain_name)
    if not _PATH.fullmatch(rest):
        errors.append(bad(field, rest, formats.regex_error("Invalid path", _PATH.pattern)))
    return errors


_TOKEN_SECONDS = (600, 2**32)


def lifetime(seconds: int, field: str) -> list[FieldError]:
    """How long a token of a service account may live."""
    low, high = _TOKEN_SECONDS
    if seconds < low:
        return [bad(field, seconds, "may not specify a duration less than 10 minutes")]
    if seconds > high:
        return [bad(field, seconds, "may not specify a duration larger than 2^32 seconds")]
    return []
