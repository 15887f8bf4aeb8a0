"""Checks of admission policies, validating and mutating, and of their bindings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, duplicate, forbidden, not_supported, required
from .checks import Object, choice, formatted, items, name, optional_choice
from .labelselectors import label_selector
from .meta import path_segment_name
from .webhooks import FAILURE_POLICIES, MATCH_POLICIES, REINVOCATION_POLICIES, conditions, expression, rule

_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
_ACTIONS = ("Audit", "Deny", "Warn")
_PATCHES = ("ApplyConfiguration", "JSONPatch")
_NOTES, _NOTE_BYTES = 20, 5 * 1024
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*", re.ASCII)
_RESERVED = frozenset(
    (
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
        "let", "loop", "package", "namespace", "return", "var", "void", "while",
    )
)  # fmt: skip


def validating(obj: Object) -> list[FieldError]:
    """A ValidatingAdmissionPolicy."""
    spec = obj.get("spec") or {}
    errors = _common(spec)
    found, notes = spec.get("validations") or (), spec.get("auditAnnotations") or ()
    if not found and not notes:
        words = "validations or auditAnnotations must contain at least one item"
        errors += [required(f"spec.{key}", words) for key in ("validations", "auditAnnotations")]
    for each, where in items(found, "spec.validations"):
        errors += _validation(each, where)
    return errors + _notes(list(notes), obj["metadata"].get("name", ""))


def mutating(obj: Object) -> list[FieldError]:
    """A MutatingAdmissionPolicy."""
    spec = obj.get("spec") or {}
    errors = _common(spec)
    if not spec.get("mutations"):
        errors.append(required("spec.mutations", "mutations must contain at least one item"))
    for each, where in items(spec.get("mutations"), "spec.mutations"):
        kind = each.get("patchType", "")
        errors += choice(kind, f"{where}.patchType", _PATCHES)
        for key, of in (("applyConfiguration", "ApplyConfiguration"), ("jsonPatch", "JSONPatch")):
            patch, at = each.get(key), f"{where}.{key}"
            if kind == of and patch is None:
                errors.append(required(at, f"must be specified when patchType is {of}"))
            elif kind in _PATCHES and kind != of and patch is not None:
                errors.append(bad(at, patch, f"must not be specified when patchType is {kind}"))
            elif patch is not None:
                errors += expression(patch.get("expression"), f"{at}.expression")
    return errors + choice(spec.get("reinvocationPolicy"), "spec.reinvocationPolicy", REINVOCATION_POLICIES)


def _common(spec: Object) -> list[FieldError]:
    errors = choice(spec.get("failurePolicy"), "spec.failurePolicy", FAILURE_POLICIES)
    if (kind := spec.get("paramKind")) is not None:
        errors += _param_kind(kind, "spec.paramKind")
    constraints = spec.get("matchConstraints")
    if constraints is None:
        errors.append(required("spec.matchConstraints"))
    else:
        errors += _match(constraints, "spec.matchConstraints")
        if not constraints.get("resourceRules"):
            errors.append(required("spec.matchConstraints.resourceRules"))
    errors += conditions(spec.get("matchConditions"), "spec.matchConditions")
    for variable, where in items(spec.get("variables"), "spec.variables"):
        called = variable.get("name", "")
        if not called.strip():
            errors.append(required(f"{where}.name", "name is not specified"))
        elif not _IDENTIFIER.fullmatch(called) or called in _RESERVED:
            errors.append(bad(f"{where}.name", called, "name is not a valid CEL identifier"))
        errors += expression(variable.get("expression"), f"{where}.expression")
    return errors


def _param_kind(kind: Object, where: str) -> list[FieldError]:
    version, called = kind.get("apiVersion", ""), kind.get("kind", "")
    errors: list[FieldError] = []
    group, _, number = version.rpartition("/")
    if not version:
        errors.append(required(f"{where}.apiVersion"))
    elif "/" in group:
        errors.append(bad(f"{where}.apiVersion", version, f"unexpected GroupVersion string: {version}"))
    else:
        if group and (wrong := formats.subdomain_name(group)):
            errors.append(bad(f"{where}.apiVersion", group, ",".join(wrong)))
        if not number:
            errors.append(bad(f"{where}.apiVersion", version, "version must be specified"))
        elif wrong := formats.label_name_1035(number):
            errors.append(bad(f"{where}.apiVersion", number, ",".join(wrong)))
    if not called:
        errors.append(required(f"{where}.kind"))
    elif wrong := formats.label_name_1035(called.lower()):
        words = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
        errors.append(bad(f"{where}.kind", called, words))
    return errors


def _validation(found: Object, where: str) -> list[FieldError]:
    errors = expression(found.get("expression"), f"{where}.expression")
    words, told = found.get("messageExpression", ""), found.get("message", "")
    if words and not words.strip():
        errors.append(bad(f"{where}.messageExpression", words, "must be non-empty if specified"))
    elif words:
        errors += expression(words, f"{where}.messageExpression")
    if told and not told.strip():
        errors.append(bad(f"{where}.message", told, "message must be non-empty if specified"))
    elif "\n" in told.strip() or "\r" in told.strip():
        errors.append(bad(f"{where}.message", told, "message must not contain line breaks"))
    return errors + optional_choice(found.get("reason"), f"{where}.reason", _REASONS)


def _notes(found: list[Any], policy: str) -> list[FieldError]:
    """Audit annotations, whose keys go with the policy's name."""
    field = "spec.auditAnnotations"
    errors: list[FieldError] = []
    if len(found) > _NOTES:
        errors.append(bad(field, found, f"must not have more than {_NOTES} auditAnnotations"))
    keys: set[str] = set()
    for each, where in items(found, field):
        key, value = each.get("key", ""), str(each.get("valueExpression") or "")
        if policy:
            errors += formatted(f"{policy}/{key}", f"{where}.key", formats.qualified_name)
        else:
            errors.append(bad(f"{where}.key", key, "requires metadata.name be non-empty"))
        at = f"{where}.valueExpression"
        if len(value.strip()) > _NOTE_BYTES:
            errors.append(required(at, f"must not exceed {_NOTE_BYTES} bytes in length"))
        else:
            errors += expression(value, at, "valueExpression is not specified")
        if key in keys:
            errors.append(duplicate(f"{where}.key", key))
        keys.add(key)
    return errors


def _sources(spec: Object) -> Iterator[tuple[str, str]]:
    """The expressions of a policy, and where they are."""
    for key in ("matchConditions", "variables", "validations"):
        for each, where in items(spec.get(key), f"spec.{key}"):
            yield f"{where}.expression", str(each.get("expression") or "")
            if words := each.get("messageExpression"):
                yield f"{where}.messageExpression", str(words)
    for each, where in items(spec.get("mutations"), "spec.mutations"):
        for key in ("applyConfiguration", "jsonPatch"):
            if (patch := each.get(key)) is not None:
                yield f"{where}.{key}.expression", str(patch.get("expression") or "")


def unsupported(obj: Object) -> list[str]:
    """A warning for each expression that this server can't evaluate."""
    from ..policies import expressions

    return [
        f"{field}: this server cannot evaluate the expression: its failure policy decides"
        for field, found in _sources(obj.get("spec") or {})
        if expressions.unsupported(found)
    ]


def _match(found: Object, where: str) -> list[FieldError]:
    errors = choice(found.get("matchPolicy"), f"{where}.matchPolicy", MATCH_POLICIES)
    for key in ("namespaceSelector", "objectSelector"):
        errors += (
            [required(f"{where}.{key}")] if found.get(key) is None else label_selector(found[key], f"{where}.{key}")
        )
    for key in ("resourceRules", "excludeResourceRules"):
        for each, at in items(found.get(key), f"{where}.{key}"):
            names = list(each.get("resourceNames") or ())
            for index, called in enumerate(names):
                errors += formatted(called, f"{at}.resourceNames[{index}]", path_segment_name)
                if called in names[:index]:
                    errors.append(duplicate(f"{at}.resourceNames[{index}]", called))
            errors += rule(each, at)
    return errors


def binding(obj: Object) -> list[FieldError]:
    """A binding of either kind. The path of what it matches is misspelt in Kubernetes, too."""
    spec = obj.get("spec") or {}
    errors = name(spec.get("policyName"), "spec.policyName", formats.subdomain_name)
    if (reference := spec.get("paramRef")) is not None:
        errors += _reference(reference, "spec.paramRef")
    if (match := spec.get("matchResources")) is not None:
        errors += _match(match, "spec.matchResouces")
    return errors


def validating_binding(obj: Object) -> list[FieldError]:
    actions, field = list((obj.get("spec") or {}).get("validationActions") or ()), "spec.validationActions"
    errors = binding(obj)
    for index, action in enumerate(actions):
        if action not in _ACTIONS:
            errors.append(not_supported(f"{field}[{index}]", action, _ACTIONS))
        if action in actions[:index]:
            errors.append(duplicate(f"{field}[{index}]", action))
    if {"Deny", "Warn"} <= set(actions):
        words = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the API "
            "response and headers serves no purpose)"
        )
        errors.append(bad(field, actions, words))
    if not actions:
        errors.append(required(field, "at least one validation action is required"))
    return errors


def _reference(found: Object, where: str) -> list[FieldError]:
    called, selector, action = found.get("name"), found.get("selector"), found.get("parameterNotFoundAction")
    words = "name and selector are mutually exclusive"
    errors = formatted(called, f"{where}.name", path_segment_name) if called else []
    if called and selector is not None:
        errors.append(forbidden(f"{where}.name", words))
    errors += label_selector(selector, f"{where}.selector")
    if called and selector is not None:
        errors.append(forbidden(f"{where}.selector", words))
    if not called and selector is None:
        errors.append(required(where, "one of name or selector must be specified"))
    if not action:
        errors.append(required(f"{where}.parameterNotFoundAction"))
    elif action not in ("Deny", "Allow"):
        errors.append(not_supported(f"{where}.parameterNotFoundAction", action, ("Deny", "Allow")))
    return errors
