r"""JSONPath as kubectl and printer columns use it: `.status.conditions[?(@.type=="Ready")].status`. Pure.

https://kubernetes.io/docs/reference/kubectl/jsonpath/ without templates: one path. Names may be quoted
(`['a.b']`) or escaped (`.a\.b`); there are indexes, slices, unions, `*`, `..` and filters with one comparison.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

_NAME = re.compile(r"(?:\\.|[^.\[\]\\'\"(){}\s])+")
_FILTER = re.compile(r"\s*@([^=!<>]*?)\s*(?:(==|!=|<=|>=|<|>)\s*(.+?))?\s*")
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_LIMIT = 10_000
"""Values a path finds at most: `..` over a large object ends there."""

Step = Callable[[Any], Iterator[Any]]


class PathError(ValueError):
    """The path cannot be read."""


@dataclass(frozen=True)
class Path:
    steps: tuple[Step, ...]

    def find(self, value: Any) -> list[Any]:
        """All values at the path."""
        found = [value]
        for step in self.steps:
            found = [each for item in found for each in step(item)][:_LIMIT]
        return found


@lru_cache(512)
def parse(text: str) -> Path:
    """Raises PathError."""
    rest = text.strip()
    if rest.startswith("{") and rest.endswith("}"):
        rest = rest[1:-1].strip()
    rest = rest.removeprefix("$").removeprefix("@")
    steps: list[Step] = []
    while rest:
        if rest.startswith(".."):
            steps.append(_deep)
            rest = rest[2:]
            if rest and rest[0] not in "[.":
                rest = "." + rest
        elif rest[0] == "[":
            inside, rest = _bracket(rest)
            steps.append(_subscript(inside))
        elif rest == ".":
            break
        else:
            rest = rest.removeprefix(".")
            if rest.startswith("["):
                continue
            match = _NAME.match(rest)
            if match is None:
                raise PathError(f"unexpected {rest[:20]!r} in {text!r}")
            name = re.sub(r"\\(.)", r"\1", match.group())
            steps.append(_every if name == "*" else _field(name))
            rest = rest[match.end() :]
    return Path(tuple(steps))


def _bracket(text: str) -> tuple[str, str]:
    """What is inside the first bracket, and what follows it; quotes and brackets within count."""
    depth, quote = 0, ""
    for index, character in enumerate(text):
        if quote:
            quote = "" if character == quote and text[index - 1] != "\\" else quote
        elif character in "'\"":
            quote = character
        elif character == "[":
            depth += 1
        elif character == "]":
            depth -= 1
            if depth == 0:
                return text[1:index], text[index + 1 :]
    raise PathError(f"unterminated array in {text!r}")


def _subscript(text: str) -> Step:
    text = text.strip()
    if text == "*":
        return _every
    if text.startswith("?(") and text.endswith(")"):
        return _filter(text[2:-1])
    if text[:1] in ("'", '"'):
        names = [_unquoted(each) for each in re.split(r",(?=\s*['\"])", text)]
        return lambda value: (each for name in names for each in _field(name)(value))
    if re.fullmatch(r"-?\d+(\s*,\s*-?\d+)*", text):
        indexes = [int(each) for each in text.split(",")]
        return lambda value: (value[i] for i in indexes if isinstance(value, list) and -len(value) <= i < len(value))
    if re.fullmatch(r"-?\d*:-?\d*(:\d*)?", text):
        bounds = [int(each) if each else None for each in text.split(":")]
        chosen = slice(*bounds)
        return lambda value: iter(value[chosen] if isinstance(value, list) else ())
    raise PathError(f"invalid array index {text}")


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) < 2 or text[0] != text[-1]:
        raise PathError(f"unterminated string in {text!r}")
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _every(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _deep(value: Any) -> Iterator[Any]:
    yield value
    for each in _every(value):
        yield from _deep(each)


def _filter(text: str) -> Step:
    match = _FILTER.fullmatch(text)
    if match is None:
        raise PathError(f"unrecognized filter {text!r}")
    left, compare, right = parse("@" + match[1]), match[2], match[3]
    if compare is None:
        return lambda value: (each for each in _every(value) if left.find(each))
    wanted = _literal(right)
    test = _COMPARE[compare]

    def matches(item: Any) -> bool:
        found = left.find(item)
        try:
            return bool(found) and bool(test(found[0], wanted))
        except TypeError:
            return False

    return lambda value: (each for each in _every(value) if matches(each))


def _literal(text: str) -> Any:
    text = text.strip()
    if text[:1] in ("'", '"'):
        return _unquoted(text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise PathError(f"unrecognized value {text!r}") from None


def text(value: Any) -> str:
    """A value as templates print it."""
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
