"""x-kubernetes-validations: the rules of a schema, compiled once, and what they say of an object.

The language is CEL; expressions are run by the library `common-expression-language`, loaded when a definition first has
a rule. Kubernetes' own functions are in functions.py. A rule that needs what the library lacks is not evaluated;
`unsupported` names those, and whoever creates the definition is warned.
"""

from __future__ import annotations

import datetime
import importlib.machinery
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from ..fielderrors import FieldError, bad, duplicate, forbidden, required
from . import bindings, formats, functions

Node = dict[str, Any]

_ABSENT = object()
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset(
    ("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
     "let", "loop", "package", "namespace", "return", "var", "void", "while")
)  # fmt: skip
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))
_STANDARD = frozenset(
    ("size", "matches", "startsWith", "endsWith", "contains", "int", "uint", "double", "string", "bytes", "bool",
     "type", "dyn", "duration", "timestamp", "has", "all", "exists", "exists_one", "map", "filter", "min", "max",
     "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes",
     "getSeconds", "getMilliseconds", "orValue", "hasValue", "value", "optMap", "of", "none", "or")
)  # fmt: skip
_MISSING = re.compile(
    r"\.\?|\[\?|\bcel\.bind\(|\b(?:all|exists|exists_one|existsOne|transform\w+)\(\s*\w+\s*,\s*\w+\s*,"
)
"""What Kubernetes' CEL has and the library has not: optional access, comprehensions of two variables."""


@cache
def engine() -> Any:
    """The library's compiled module, without the package around it, which loads a command line."""
    spec = importlib.util.find_spec("cel")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(next(iter(spec.submodule_search_locations)))
    path = next(found for found in folder.iterdir() if found.name.startswith("cel.") and found.suffix == ".so")
    loader = importlib.machinery.ExtensionFileLoader("cel.cel", str(path))
    extension = importlib.util.spec_from_file_location("cel.cel", path, loader=loader)
    assert extension is not None
    made = importlib.util.module_from_spec(extension)
    loader.exec_module(made)
    return made


class Complaint(ValueError):
    """An expression that is no CEL, in the library's words."""


def compiled(expression: str) -> Any:
    """The program, None for one that the library cannot run. Raises Complaint for what is no CEL."""
    written = bindings.rewritten(expression)
    if _MISSING.search(written):
        return None
    try:
        program = engine().compile(written)
    except ValueError as error:
        raise Complaint(str(error).partition("': ")[2] or str(error)) from None
    named = {name for name in program.functions() if name.isidentifier()}
    return program if named <= _STANDARD | functions.TABLE.keys() else None


@dataclass(frozen=True)
class Rule:
    """One rule at one place of the schema."""

    spec: Node
    program: Any
    message: Any
    """The program of its messageExpression, None without one."""

    @property
    def is_transition(self) -> bool:
        return "oldSelf" in self.spec["rule"]


class Rules:
    """All rules of one schema."""

    def __init__(self, schema: Node) -> None:
        self._schema = schema
        self._by_node: dict[int, tuple[Rule, ...]] = {}
        self._with_rules: set[int] = set()
        self.unsupported: list[str] = []
        self._compile(schema)

    def _compile(self, node: Node) -> bool:
        """Compile a node and what is below it; whether any rule is there."""
        rules = []
        for spec in node.get("x-kubernetes-validations") or ():
            try:
                program = compiled(spec["rule"])
                words = spec.get("messageExpression")
                message = compiled(words) if words else None
            except Complaint:
                program = None
            if program is None:
                self.unsupported.append(spec["rule"])
            else:
                rules.append(Rule(spec, program, message))
        if rules:
            self._by_node[id(node)] = tuple(rules)
        below = [self._compile(each) for each in children(node)]
        if rules or any(below):
            self._with_rules.add(id(node))
            return True
        return False

    def check(self, obj: Node, old: Node | None) -> list[FieldError]:
        """What the rules say of an object; `old` is what it was, None for a new one."""
        if not self._with_rules:
            return []
        return list(self._check(self._schema, obj, _ABSENT if old is None else old, ""))

    def _check(self, node: Node, value: Any, old: Any, path: str) -> Iterator[FieldError]:
        if id(node) not in self._with_rules or value is None:
            return
        for rule in self._by_node.get(id(node), ()):
            if not rule.is_transition or old is not _ABSENT or rule.spec.get("optionalOldSelf"):
                yield from _verdict(rule, node, value, old, path)
        if type(value) is dict:
            properties, others = node.get("properties") or {}, node.get("additionalProperties")
            for key, item in value.items():
                child = properties.get(key, others)
                if isinstance(child, dict):
                    before = old.get(key, _ABSENT) if isinstance(old, dict) else _ABSENT
                    where = f"{path}[{key}]" if key not in properties else f"{path}.{key}" if path else key
                    yield from self._check(child, item, before, where)
        elif type(value) is list and isinstance(items := node.get("items"), dict):
            for index, item in enumerate(value):
                yield from self._check(items, item, _same_item(node, item, old), f"{path}[{index}]")


def children(node: Node) -> Iterator[Node]:
    """The schemas directly below one."""
    yield from (node.get("properties") or {}).values()
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield node[key]


def _same_item(node: Node, item: Any, old: Any) -> Any:
    """The old item that a list of type map has under the same keys."""
    keys = node.get("x-kubernetes-list-map-keys") or ()
    if node.get("x-kubernetes-list-type") != "map" or not isinstance(old, list) or not isinstance(item, dict):
        return _ABSENT
    wanted = [item.get(key) for key in keys]
    for each in old:
        if isinstance(each, dict) and [each.get(key) for key in keys] == wanted:
            return each
    return _ABSENT


def _verdict(rule: Rule, node: Node, value: Any, old: Any, path: str) -> Iterator[FieldError]:
    variables = {"self": to_cel(node, value)}
    if rule.is_transition:
        before = None if old is _ABSENT else to_cel(node, old)
        if rule.spec.get("optionalOldSelf"):
            optional = engine().OptionalValue
            before = optional.none() if old is _ABSENT else optional.of(before)
        variables["oldSelf"] = before
    text = rule.spec["rule"].strip()
    try:
        holds = _run(rule.program, variables)
    except Exception as error:
        yield bad(path, _kind(node, value), f"rule evaluation error: {_words(error)} evaluating rule: {_said(rule)}")
        return
    if holds is not True:
        yield _complaint(rule, node, value, path, _message(rule, variables) or f"failed rule: {text}")


def _run(program: Any, variables: dict[str, Any]) -> Any:
    return program.execute(engine().Context(variables, functions=functions.TABLE))


def _words(error: Exception) -> str:
    return f"no such key: {error.args[0]}" if isinstance(error, KeyError) and error.args else str(error)


def _said(rule: Rule) -> str:
    return str(rule.spec.get("message") or rule.spec["rule"]).strip()


def _message(rule: Rule, variables: dict[str, Any]) -> str:
    if rule.message is not None:
        try:
            made = _run(rule.message, variables)
        except Exception:
            made = None
        if isinstance(made, str) and made.strip() and "\n" not in made:
            return made.strip()
    return str(rule.spec.get("message") or "").strip()


def _complaint(rule: Rule, node: Node, value: Any, path: str, words: str) -> FieldError:
    where = rule.spec.get("fieldPath", "")
    field = (path + where).removeprefix(".") if where else path
    match rule.spec.get("reason"):
        case "FieldValueForbidden":
            return forbidden(field, words)
        case "FieldValueRequired":
            return required(field, words)
        case "FieldValueDuplicate":
            return duplicate(field, value)
    return bad(field, _kind(node, value), words)


def _kind(node: Node, value: Any) -> str:
    from .values import name_of

    return str(node.get("type") or name_of(value))


def to_cel(node: Node, value: Any) -> Any:
    """A value as CEL has it: property names made identifiers, times and numbers of their own types."""
    kind = type(value)
    if kind is dict:
        properties, others = node.get("properties") or {}, node.get("additionalProperties")
        found: dict[Any, Any] = {}
        for key, item in value.items():
            if key in properties:
                if item is not None or properties[key].get("nullable"):
                    found[_escaped(key)] = to_cel(properties[key], item)
            else:
                found[key] = to_cel(others, item) if isinstance(others, dict) else item
        return found
    if kind is list:
        items = node.get("items")
        return [to_cel(items, item) for item in value] if isinstance(items, dict) else value
    if kind is int and node.get("type") == "number":
        return float(value)
    if kind is float and node.get("type") == "integer":
        return int(value)
    if kind is str:
        return _text(node.get("format", ""), value)
    return value


def _text(name: str, value: str) -> Any:
    try:
        if name == "date-time" and formats.matches(name, value):
            return datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
        if name == "date" and formats.matches(name, value):
            return datetime.datetime.fromisoformat(value).replace(tzinfo=datetime.UTC)
        if name == "duration" and formats.matches(name, value):
            return functions.duration(value)
        if name == "byte":
            import base64

            return base64.b64decode(value)
    except ValueError:
        return value
    return value


def _escaped(name: str) -> str:
    """A property's name in expressions (Kubernetes' rules for names that are no identifiers)."""
    if name in _RESERVED:
        return f"__{name}__"
    if _IDENTIFIER.fullmatch(name) and "__" not in name:
        return name
    for plain, escaped in _ESCAPES:
        name = name.replace(plain, escaped)
    return name


def shown(spec: Node) -> str:
    """A rule as messages about definitions show it."""
    return orjson.dumps(spec).decode()
