"""Checks of ValidatingAdmissionPolicies and their bindings. CEL is loaded when a policy is first written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, duplicate, not_supported, required
from .labelselectors import label_selector

Object = Mapping[str, Any]

_REASONS = ("Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge")
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_ACTIONS = ("Audit", "Deny", "Warn")


def policy(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors: list[FieldError] = []
    if (kind := spec.get("paramKind")) is not None:
        errors += [required(f"spec.paramKind.{key}") for key in ("apiVersion", "kind") if not kind.get(key)]
    constraints = spec.get("matchConstraints")
    if constraints is None:
        errors.append(required("spec.matchConstraints"))
    else:
        if not constraints.get("resourceRules"):
            errors.append(required("spec.matchConstraints.resourceRules"))
        errors += _match(constraints, "spec.matchConstraints")
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        words = "validations or auditAnnotations must contain at least one item"
        errors += [required("spec.validations", words), required("spec.auditAnnotations", words)]
    errors += _named(spec.get("variables") or (), "spec.variables")
    errors += _named(spec.get("matchConditions") or (), "spec.matchConditions")
    for index, each in enumerate(spec.get("validations") or ()):
        if (reason := each.get("reason")) and reason not in _REASONS:
            errors.append(not_supported(f"spec.validations[{index}].reason", reason, _REASONS))
    return errors + list(_expressions(spec))


def _named(items: Any, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, each in enumerate(items):
        name = each.get("name", "")
        if not name:
            errors.append(required(f"{field}[{index}].name"))
        elif name in seen:
            errors.append(duplicate(f"{field}[{index}].name", name))
        seen.add(name)
    return errors


def _sources(spec: Object) -> Iterator[tuple[str, str]]:
    """The expressions of a policy, and where they are."""
    for key in ("matchConditions", "variables", "validations"):
        for index, each in enumerate(spec.get(key) or ()):
            yield f"spec.{key}[{index}].expression", str(each.get("expression") or "")
            if words := each.get("messageExpression"):
                yield f"spec.{key}[{index}].messageExpression", str(words)


def _expressions(spec: Object) -> Iterator[FieldError]:
    from ..policies import expressions

    for field, expression in _sources(spec):
        if not expression.strip():
            yield required(field, "expression is not specified")
        elif words := expressions.complaint(expression):
            yield bad(field, expression, words)


def unsupported(obj: Object) -> list[str]:
    """A warning for each expression that this server can't evaluate."""
    from ..policies import expressions

    return [
        f"{field}: this server cannot evaluate the expression: its failure policy decides"
        for field, expression in _sources(obj.get("spec") or {})
        if expressions.unsupported(expression)
    ]


def _match(found: Object, where: str) -> list[FieldError]:
    errors = label_selector(found.get("namespaceSelector"), f"{where}.namespaceSelector")
    errors += label_selector(found.get("objectSelector"), f"{where}.objectSelector")
    for key in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(found.get(key) or ()):
            at = f"{where}.{key}[{index}]"
            errors += [
                required(f"{at}.{name}")
                for name in ("operations", "apiGroups", "apiVersions", "resources")
                if not rule.get(name)
            ]
            errors += [
                not_supported(f"{at}.operations[{position}]", operation, _OPERATIONS)
                for position, operation in enumerate(rule.get("operations") or ())
                if operation not in _OPERATIONS
            ]
    return errors


def binding(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors: list[FieldError] = []
    name = spec.get("policyName", "")
    if not name:
        errors.append(required("spec.policyName"))
    else:
        errors += [bad("spec.policyName", name, words) for words in formats.subdomain_name(name)]
    if (reference := spec.get("paramRef")) is not None:
        errors += _reference(reference)
    actions = spec.get("validationActions") or ()
    if not actions:
        errors.append(required("spec.validationActions", "at least one validation action is required"))
    for index, action in enumerate(actions):
        if action not in _ACTIONS:
            errors.append(not_supported(f"spec.validationActions[{index}]", action, _ACTIONS))
        elif action in actions[:index]:
            errors.append(duplicate(f"spec.validationActions[{index}]", action))
    if {"Deny", "Warn"} <= set(actions):
        words = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the API "
            "response and headers serves no purpose)"
        )
        errors.append(bad("spec.validationActions", list(actions), words))
    if (match := spec.get("matchResources")) is not None:
        errors += _match(match, "spec.matchResources")
    return errors


def _reference(found: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    name, selector = found.get("name"), found.get("selector")
    if name and selector is not None:
        errors.append(bad("spec.paramRef.name", name, "name and selector are mutually exclusive"))
    elif not name and selector is None:
        errors.append(required("spec.paramRef", "one of name or selector must be specified"))
    action = found.get("parameterNotFoundAction")
    if not action:
        errors.append(required("spec.paramRef.parameterNotFoundAction"))
    elif action not in ("Allow", "Deny"):
        errors.append(not_supported("spec.paramRef.parameterNotFoundAction", action, ("Deny", "Allow")))
    return errors
