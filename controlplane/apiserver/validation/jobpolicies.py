"""Checks of a Job's policies: which failures of its pods count, when it has succeeded, when pods are replaced."""

from __future__ import annotations

import itertools
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, duplicate, not_supported, required, too_long, too_many, unshown
from .checks import Object, formatted, items, not_negative

_RULES, _PATTERNS, _CODES, _SUCCESS_RULES = 20, 20, 255, 20
_INDEXES_BYTES = 64 * 1024
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_STATUSES = ("False", "True", "Unknown")
_OPERATORS = ("In", "NotIn")


def policies(spec: Object, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    failure, success, replaced = (spec.get(k) for k in ("podFailurePolicy", "successPolicy", "podReplacementPolicy"))
    if failure is not None:
        errors += _failure(failure, spec, f"{field}.podFailurePolicy.rules")
    if success is not None:
        if spec.get("completionMode") != "Indexed":
            errors.append(bad(f"{field}.successPolicy", success, "requires indexed completion mode"))
        else:
            errors += _success(success, spec, f"{field}.successPolicy.rules")
    allowed = ("Failed",) if failure is not None else ("Failed", "TerminatingOrFailed")
    if replaced is not None and replaced not in allowed:
        errors.append(not_supported(f"{field}.podReplacementPolicy", replaced, allowed))
    return errors


def _listed(words: tuple[str, ...]) -> str:
    shown = " ".join('"' + word + '"' for word in words)
    return f"valid values: [{shown}]"


def _failure(policy: Object, spec: Object, field: str) -> list[FieldError]:
    rules = policy.get("rules") or ()
    errors = [too_many(field, len(rules), _RULES)] if len(rules) > _RULES else []
    pod = (spec.get("template") or {}).get("spec") or {}
    names = {each.get("name") for kind in ("containers", "initContainers") for each in pod.get(kind) or ()}
    for rule, where in items(rules, field):
        action, codes, conditions = rule.get("action", ""), rule.get("onExitCodes"), rule.get("onPodConditions")
        if not action:
            errors.append(required(f"{where}.action", _listed(_ACTIONS)))
        elif action == "FailIndex":
            if spec.get("backoffLimitPerIndex") is None:
                errors.append(bad(f"{where}.action", action, "requires the backoffLimitPerIndex to be set"))
        elif action not in _ACTIONS:
            errors.append(not_supported(f"{where}.action", action, _ACTIONS))
        if codes is not None:
            errors += _exit_codes(codes, names, f"{where}.onExitCodes")
        errors += _conditions(conditions or (), f"{where}.onPodConditions")
        if codes is not None and conditions:
            words = "specifying both OnExitCodes and OnPodConditions is not supported"
            errors.append(unshown(where, words))
        if codes is None and not conditions:
            words = "specifying one of OnExitCodes and OnPodConditions is required"
            errors.append(unshown(where, words))
    return errors


def _conditions(found: Any, field: str) -> list[FieldError]:
    errors = [too_many(field, len(found), _PATTERNS)] if len(found) > _PATTERNS else []
    for pattern, where in items(found, field):
        errors += formatted(pattern.get("type", ""), f"{where}.type", formats.qualified_name)
        status = pattern.get("status", "")
        if not status:
            errors.append(required(f"{where}.status", _listed(_STATUSES)))
        elif status not in _STATUSES:
            errors.append(not_supported(f"{where}.status", status, _STATUSES))
    return errors


def _exit_codes(codes: Object, names: set[Any], where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    operator, name, values = codes.get("operator", ""), codes.get("containerName"), list(codes.get("values") or ())
    if not operator:
        errors.append(required(f"{where}.operator", _listed(_OPERATORS)))
    elif operator not in _OPERATORS:
        errors.append(not_supported(f"{where}.operator", operator, _OPERATORS))
    if name is not None and name not in names:
        words = "must be one of the container or initContainer names in the pod template"
        errors.append(bad(f"{where}.containerName", name, words))
    if not values:
        errors.append(bad(f"{where}.values", codes.get("values"), "at least one value is required"))
    elif len(values) > _CODES:
        errors.append(too_many(f"{where}.values", len(values), _CODES))
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            errors.append(bad(f"{where}.values[{index}]", value, "must not be 0 for the In operator"))
        if value in values[:index]:
            errors.append(duplicate(f"{where}.values[{index}]", value))
    if any(before > after for before, after in itertools.pairwise(values)):
        errors.append(bad(f"{where}.values", values, "must be ordered"))
    return errors


def _success(policy: Object, spec: Object, field: str) -> list[FieldError]:
    rules = policy.get("rules") or ()
    errors: list[FieldError] = []
    if not rules:
        errors.append(required(field, "at least one rules must be specified when the successPolicy is specified"))
    if len(rules) > _SUCCESS_RULES:
        errors.append(too_many(field, len(rules), _SUCCESS_RULES))
    completions = spec.get("completions") or 0
    for rule, where in items(rules, field):
        indexes, count = rule.get("succeededIndexes"), rule.get("succeededCount")
        if indexes is None and count is None:
            errors.append(required(where, "at least one of succeededCount or succeededIndexes must be specified"))
        total = 0
        if indexes is not None:
            if len(indexes) > _INDEXES_BYTES:
                errors.append(too_long(f"{where}.succeededIndexes", _INDEXES_BYTES))
            total, why = count_indexes(indexes, completions)
            if why:
                words = f"error parsing succeededIndexes: {why}"
                errors.append(bad(f"{where}.succeededIndexes", indexes, words))
        if count is not None:
            errors += not_negative(rule, where, "succeededCount")
            most = "must be less than or equal to"
            if count > completions:
                words = f"{most} {completions} (the number of specified completions)"
                errors.append(bad(f"{where}.succeededCount", count, words))
            if indexes is not None and count > total:
                words = f"{most} {total} (the number of indexes in the specified succeededIndexes field)"
                errors.append(bad(f"{where}.succeededCount", count, words))
    return errors


def count_indexes(text: str, completions: int) -> tuple[int, str]:
    """How many indexes a text as `0,2-4` names, and what is wrong with it."""
    last: int | None = None
    total = 0
    for part in text.split(",") if text else ():
        ends = part.split("-")
        if len(ends) > 2:
            words = "violates the requirement that an index interval can have at most two parts separated by '-'"
            return 0, f'the fragment "{part}" {words}'
        for end in ends:
            if not end.isdecimal():
                return 0, f'cannot convert string to integer for index: "{end}"'
            if int(end) >= completions:
                return 0, f'too large index: "{end}"'
        first, final = int(ends[0]), int(ends[-1])
        if len(ends) == 2 and first >= final:
            return 0, f"non-increasing order, previous: {first}, current: {final}"
        if last is not None and last >= first:
            return 0, f"non-increasing order, previous: {last}, current: {first}"
        total, last = total + final - first + 1, final
    return total, ""
