"""Label and field selectors, in every syntax of the API, with Kubernetes' own words for what can't be parsed.

`parse_labels("app=web,tier in (a,b),!old")`, `from_label_selector({"matchLabels": ...})` and
`parse_fields("spec.nodeName=a")`; each result has `.matches(mapping)`. What can't be parsed raises BadRequest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from panal import formats
from panal.errors import BadRequest

OPERATORS = ("in", "notin", "=", "==", "!=", "gt", "lt")
_SYMBOLS = {")", ",", "!", "==", "=", ">", "in", "<", "!=", "notin", "("}
_SPECIAL = frozenset("=!(),><")
_SPACE = frozenset(" \t\r\n")
_END = ("end", "")

Item = tuple[str, str]
"""A token: its kind ("id", "end", "error" or the symbol itself) and its text."""


@dataclass(frozen=True)
class Requirement:
    """One condition on one label. `operator` is one of OPERATORS, "exists" or "!"; `gt` and `lt` compare integers."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "=" | "==" | "in":
                return value is not None and value in self.values
            case "!=" | "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "gt":
                return (number := _integer(value)) is not None and number > int(self.values[0])
            case _:
                return (number := _integer(value)) is not None and number < int(self.values[0])

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"
            case "gt" | "lt":
                return f"{self.key}{'>' if self.operator == 'gt' else '<'}{self.values[0]}"
        return f"{self.key}{self.operator}{self.values[0]}"


@dataclass(frozen=True)
class LabelSelector:
    """All requirements together; without any it matches everything, or nothing when `nothing` is set."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        return not self.nothing and all(requirement.matches(labels or {}) for requirement in self.requirements)

    @property
    def empty(self) -> bool:
        """Whether it matches everything."""
        return not self.requirements and not self.nothing

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


@dataclass(frozen=True)
class FieldSelector:
    """Terms (field, wanted, value): the field is the value, or is not if `wanted` is false. A missing field is ""."""

    terms: tuple[tuple[str, bool, str], ...] = ()

    def matches(self, fields: Mapping[str, str]) -> bool:
        return all((fields.get(name, "") == value) is wanted for name, wanted, value in self.terms)

    @property
    def empty(self) -> bool:
        return not self.terms

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields it asks for."""
        return tuple(name for name, _, _ in self.terms)

    def required(self, name: str) -> str | None:
        """The value that the field must have, if the selector fixes it."""
        return next((value for field, wanted, value in self.terms if field == name and wanted), None)

    def __str__(self) -> str:
        return ",".join(f"{name}{'=' if wanted else '!='}{_escape(value)}" for name, wanted, value in self.terms)


EVERYTHING = LabelSelector()
NOTHING = LabelSelector(nothing=True)
ALL_FIELDS = FieldSelector()


@lru_cache(1024)
def parse_labels(text: str) -> LabelSelector:
    """A selector from its text: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`, `a>1`, `a<1`."""
    return LabelSelector(tuple(sorted(_Parser(text).requirements(), key=lambda requirement: requirement.key)))


def from_label_selector(selector: Mapping[str, Any] | None) -> LabelSelector:
    """A selector from a metav1.LabelSelector: None matches nothing, an empty one everything."""
    if selector is None:
        return NOTHING
    found = [_requirement(key, "=", [value]) for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        operator = expression.get("operator", "")
        if operator not in _SET_OPERATORS:
            raise BadRequest(f'"{operator}" is not a valid label selector operator')
        found.append(_requirement(expression.get("key", ""), _SET_OPERATORS[operator], expression.get("values") or ()))
    return LabelSelector(tuple(sorted(found, key=lambda requirement: requirement.key)))


_SET_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


@lru_cache(1024)
def parse_fields(text: str) -> FieldSelector:
    """A selector from its text: `a=b`, `a==b`, `a!=b`, joined by commas; a backslash escapes itself, comma and =."""
    terms = []
    for term in _split_terms(text):
        if not term:
            continue
        found = _split_term(term)
        if found is None:
            raise BadRequest(f"invalid selector: '{text}'; can't understand '{term}'")
        name, operator, value = found
        terms.append((name, operator != "!=", _unescape(value)))
    return FieldSelector(tuple(terms))


def _integer(value: str | None) -> int | None:
    """What Go's strconv.ParseInt makes of a label's value."""
    if value is None or not value.removeprefix("-").removeprefix("+").isdecimal() or not value.isascii():
        return None
    try:
        number = int(value)
    except ValueError:
        return None
    return number if -(2**63) <= number < 2**63 else None


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _requirement(key: str, operator: str, values: Sequence[str]) -> Requirement:
    """A checked requirement. Raises BadRequest with every complaint, as NewRequirement does."""
    errors = []
    if complaints := formats.qualified_name(key):
        errors.append(f"key: Invalid value: {_quoted(key)}: {'; '.join(complaints)}")
    if operator in ("in", "notin") and not values:
        errors.append("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty")
    elif operator in ("exists", "!") and values:
        shown = "[" + ",".join(_quoted(value) for value in values) + "]"
        errors.append(f"values: Invalid value: {shown}: values set must be empty for exists and does not exist")
    elif operator in ("gt", "lt"):
        errors += [
            f"values[{index}]: Invalid value: {_quoted(value)}: for 'Gt', 'Lt' operators, the value must be an integer"
            for index, value in enumerate(values)
            if _integer(value) is None
        ]
    for index, value in enumerate(values):
        if complaints := formats.label_value(value):
            errors.append(f"values[{index}][{key}]: Invalid value: {_quoted(value)}: {'; '.join(complaints)}")
    if errors:
        raise BadRequest(errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]")
    return Requirement(key, operator, tuple(values))


def _tokens(text: str) -> Iterator[Item]:
    position, end = 0, len(text)
    while position < end:
        character = text[position]
        if character in _SPACE:
            position += 1
        elif character in _SPECIAL:
            item, position = _symbol(text, position)
            yield item
        else:
            start = position
            while position < end and text[position] not in _SPECIAL and text[position] not in _SPACE:
                position += 1
            word = text[start:position]
            yield (word if word in _SYMBOLS else "id", word)
    yield _END


def _symbol(text: str, start: int) -> tuple[Item, int]:
    """The longest operator at `start`, growing one character at a time as long as it remains one."""
    found: str | None = None
    position = start
    while position < len(text) and text[position] in _SPECIAL:
        buffer = text[start : position + 1]
        if buffer in _SYMBOLS:
            found = buffer
        elif found is not None:
            break
        position += 1
    if found is None:
        return ("error", f"error expected: keyword found '{text[start:position]}'"), position
    return (found, found), start + len(found)


class _Parser:
    """Recursive descent over the tokens; where a value may stand, `in` and `notin` are ordinary words."""

    def __init__(self, text: str) -> None:
        self._items = list(_tokens(text))
        self._position = 0

    def _look(self, *, operators: bool = False) -> Item:
        kind, text = self._items[self._position]
        return ("id", text) if kind in ("in", "notin") and not operators else (kind, text)

    def _take(self, *, operators: bool = False) -> Item:
        item = self._look(operators=operators)
        if self._position < len(self._items) - 1:
            self._position += 1
        return item

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while True:
            kind, text = self._look()
            if kind == "end":
                return found
            if kind not in ("id", "!"):
                raise BadRequest(f"found '{text}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self._one())
            except BadRequest as error:
                raise BadRequest(f"unable to parse requirement: {error.message}") from None
            kind, text = self._take()
            if kind == "end":
                return found
            if kind != ",":
                raise BadRequest(f"found '{text}', expected: ',' or 'end of string'")
            kind, text = self._look()
            if kind not in ("id", "!"):
                raise BadRequest(f"found '{text}', expected: identifier after ','")

    def _one(self) -> Requirement:
        kind, key = self._take()
        absent = kind == "!"
        if absent:
            kind, key = self._take()
        if kind != "id":
            raise BadRequest(f"found '{key}', expected: identifier")
        if complaints := formats.qualified_name(key):
            raise BadRequest(f"<nil>: Invalid value: {_quoted(key)}: {'; '.join(complaints)}")
        if absent:
            return _requirement(key, "!", ())
        if self._look()[0] in ("end", ","):
            return _requirement(key, "exists", ())
        operator, text = self._take(operators=True)
        if operator in ("in", "notin"):
            return _requirement(key, operator, sorted(self._values()))
        if operator in ("=", "==", "!=", ">", "<"):
            return _requirement(key, {">": "gt", "<": "lt"}.get(operator, operator), [self._value()])
        raise BadRequest(f"found '{text}', expected: {', '.join(OPERATORS)}")

    def _value(self) -> str:
        if self._look()[0] in ("end", ","):
            return ""
        kind, text = self._take()
        if kind != "id":
            raise BadRequest(f"found '{text}', expected: identifier")
        return text

    def _values(self) -> set[str]:
        kind, text = self._take()
        if kind != "(":
            raise BadRequest(f"found '{text}' expected: '('")
        kind, text = self._look()
        if kind == ")":
            self._take()
            return {""}
        if kind not in ("id", ","):
            raise BadRequest(f"found '{text}', expected: ',', ')' or identifier")
        values = self._list()
        if self._take()[0] != ")":
            raise BadRequest(f"found '{text}', expected: ')'")
        return values

    def _list(self) -> set[str]:
        """Words between parentheses; an empty place between commas is the empty value."""
        values: set[str] = set()
        while True:
            kind, text = self._take()
            if kind == "id":
                values.add(text)
                kind, text = self._look()
                if kind == ")":
                    return values
                if kind != ",":
                    raise BadRequest(f"found '{text}', expected: ',' or ')'")
            elif kind == ",":
                if not values:
                    values.add("")
                kind, _ = self._look()
                if kind == ")":
                    return values | {""}
                if kind == ",":
                    self._take()
                    values.add("")
            else:
                raise BadRequest(f"found '{text}', expected: ',', or identifier")


def _split_terms(text: str) -> Iterator[str]:
    start, escaped = 0, False
    for index, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ",":
            yield text[start:index]
            start = index + 1
    yield text[start:]


def _split_term(term: str) -> tuple[str, str, str] | None:
    for index in range(len(term)):
        for operator in ("!=", "==", "="):
            if term.startswith(operator, index):
                return term[:index], operator, term[index + len(operator) :]
    return None


def _unescape(value: str) -> str:
    if not any(character in value for character in "\\,="):
        return value
    found, escaped = [], False
    for character in value:
        if escaped:
            if character not in "\\,=":
                raise BadRequest(f"invalid field selector: invalid escape sequence: \\{character}")
            found.append(character)
            escaped = False
        elif character == "\\":
            escaped = True
        elif character in ",=":
            raise BadRequest(f"invalid field selector: unescaped character in value: {ord(character)}")
        else:
            found.append(character)
    if escaped:
        raise BadRequest("invalid field selector: invalid escape sequence: \\\0")
    return "".join(found)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
