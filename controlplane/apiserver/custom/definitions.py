"""What is wrong with a CustomResourceDefinition: schemas not structural, paths, patterns, rules. Pure.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..fielderrors import FieldError, bad, forbidden, required
from . import jsonpath, structure

Node = dict[str, Any]

_LEVELS = {
    "root": "must not be empty at the root",
    "items": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
_REFUSED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_OPEN = ("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields")


def check(obj: Node) -> list[FieldError]:
    """Complaints about all versions."""
    errors: list[FieldError] = []
    for index, version in enumerate(obj["spec"].get("versions") or ()):
        where = f"spec.versions[{index}]"
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if isinstance(schema, dict):
            errors += _schema(schema, f"{where}.schema.openAPIV3Schema", "root")
        for kind in ("additionalPrinterColumns", "selectableFields"):
            for number, each in enumerate(version.get(kind) or ()):
                errors += _path(each.get("jsonPath", ""), f"{where}.{kind}[{number}].jsonPath")
    return errors


def _path(path: str, field: str) -> Iterator[FieldError]:
    if not path:
        yield required(field)
        return
    try:
        jsonpath.parse(path)
    except jsonpath.PathError as error:
        yield bad(field, path, f"is an invalid path: {error}")


def _schema(node: Node, field: str, level: str) -> Iterator[FieldError]:
    if not node.get("type") and not any(node.get(name) for name in _OPEN):
        yield required(f"{field}.type", _LEVELS[level])
    if level == "root" and node.get("type") not in (None, "", "object"):
        yield bad(f"{field}.type", node["type"], "must be object at the root")
    yield from structure.node(node, field, root=level == "root")
    if node.get("type") == "array" and not isinstance(node.get("items"), dict):
        yield required(f"{field}.items", "must be specified")
    yield from (forbidden(f"{field}.{name}", f"{name} is not supported") for name in _REFUSED if node.get(name))
    if node.get("uniqueItems"):
        words = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(f"{field}.uniqueItems", words)
    if pattern := node.get("pattern"):
        from . import patterns

        if why := patterns.complaint(pattern):
            words = f"must be a valid regular expression, but isn't: {why}"
            yield bad(f"{field}.pattern", pattern, words)
    yield from _rules(node, field)
    for name, child in (node.get("properties") or {}).items():
        if not (level == "root" and name == "metadata") and isinstance(child, dict):
            yield from _schema(child, f"{field}.properties[{name}]", "field")
    if isinstance(items := node.get("items"), dict):
        yield from _schema(items, f"{field}.items", "items")
    others = node.get("additionalProperties")
    if others is not None and level == "root":
        yield forbidden(f"{field}.additionalProperties", "must not be used at the root")
    if isinstance(others, dict):
        if node.get("properties"):
            words = "additionalProperties and properties are mutual exclusive"
            yield forbidden(f"{field}.additionalProperties", words)
        yield from _schema(others, f"{field}.additionalProperties", "field")


def _rules(node: Node, field: str) -> Iterator[FieldError]:
    for index, rule in enumerate(node.get("x-kubernetes-validations") or ()):
        from . import rules

        try:
            rules.compiled(rule.get("rule", ""))
        except rules.Complaint as why:
            where = f"{field}.x-kubernetes-validations[{index}].rule"
            yield bad(where, rule.get("rule", ""), f"compilation failed: {why}")


def warnings(obj: Node) -> list[str]:
    """One for every rule that is stored and not evaluated."""
    found: list[str] = []
    for version in obj["spec"].get("versions") or ():
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if isinstance(schema, dict) and "x-kubernetes-validations" in str(schema):
            from .rules import Rules

            found += [f"the rule {rule!r} is stored but not evaluated" for rule in Rules(schema).unsupported]
    return found
