"""Checks of what says where a pod may run: tolerations, affinity, topology spread; and of taints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, duplicate, not_supported, required
from .labelselectors import label_selector

Object = Mapping[str, Any]

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NODE_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")


def tolerations(found: Sequence[Object], field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, toleration in enumerate(found):
        where = f"{field}[{index}]"
        key, operator, value = (toleration.get(name, "") for name in ("key", "operator", "value"))
        if key:
            errors += [bad(f"{where}.key", key, complaint) for complaint in formats.qualified_name(key)]
        elif operator != "Exists":
            words = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            errors.append(bad(f"{where}.operator", operator, words))
        effect = toleration.get("effect", "")
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            words = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            errors.append(bad(f"{where}.effect", effect, words))
        if operator in ("Equal", ""):
            errors += [bad(f"{where}.operator", value, complaint) for complaint in formats.label_value(value)]
        elif operator == "Exists":
            if value:
                errors.append(bad(f"{where}.operator", value, "value must be empty when `operator` is 'Exists'"))
        else:
            errors.append(not_supported(f"{where}.operator", operator, ("Equal", "Exists")))
        if effect and effect not in EFFECTS:
            errors.append(not_supported(f"{where}.effect", effect, EFFECTS))
    return errors


def taints(found: Sequence[Object], field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(found):
        where = f"{field}[{index}]"
        key, value, effect = (taint.get(name, "") for name in ("key", "value", "effect"))
        errors += [bad(f"{where}.key", key, complaint) for complaint in formats.qualified_name(key)]
        errors += [bad(f"{where}.value", value, complaint) for complaint in formats.label_value(value)]
        if not effect:
            errors.append(required(f"{where}.effect"))
        elif effect not in EFFECTS:
            errors.append(not_supported(f"{where}.effect", effect, EFFECTS))
        if (key, effect) in seen:
            errors.append(duplicate(where, dict(taint)))
        seen.add((key, effect))
    return errors


def topology_spread(found: Sequence[Object], field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for index, constraint in enumerate(found):
        where = f"{field}[{index}]"
        skew = constraint.get("maxSkew", 0)
        if skew <= 0:
            errors.append(bad(f"{where}.maxSkew", skew, "must be greater than zero"))
        key, action = constraint.get("topologyKey", ""), constraint.get("whenUnsatisfiable", "")
        if not key:
            errors.append(required(f"{where}.topologyKey", "can not be empty"))
        else:
            errors += [bad(f"{where}.topologyKey", key, complaint) for complaint in formats.qualified_name(key)]
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            errors.append(not_supported(f"{where}.whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway")))
        if (key, action) in seen:
            errors.append(duplicate(f"{where}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}"))
        seen.add((key, action))
        errors += label_selector(constraint.get("labelSelector"), f"{where}.labelSelector")
    return errors


def node_selector(selector: Object, field: str) -> list[FieldError]:
    terms = selector.get("nodeSelectorTerms") or ()
    if not terms:
        return [required(f"{field}.nodeSelectorTerms", "must have at least one node selector term")]
    errors: list[FieldError] = []
    for index, term in enumerate(terms):
        errors += _node_term(term, f"{field}.nodeSelectorTerms[{index}]")
    return errors


def _node_term(term: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        at = f"{where}.matchExpressions[{index}]"
        operator, values = expression.get("operator", ""), expression.get("values") or ()
        if operator in ("In", "NotIn") and not values:
            errors.append(required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist") and values:
            from ..fielderrors import forbidden

            words = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(forbidden(f"{at}.values", words))
        elif operator in ("Gt", "Lt") and len(values) != 1:
            errors.append(required(f"{at}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'"))
        elif operator not in _NODE_OPERATORS:
            errors.append(bad(f"{at}.operator", operator, "not a valid selector operator"))
        key = expression.get("key", "")
        errors += [bad(f"{at}.key", key, complaint) for complaint in formats.qualified_name(key)]
    return errors


def affinity(found: Object, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if (node := found.get("nodeAffinity")) is not None:
        where = f"{field}.nodeAffinity"
        if (needed := node.get("requiredDuringSchedulingIgnoredDuringExecution")) is not None:
            errors += node_selector(needed, f"{where}.requiredDuringSchedulingIgnoredDuringExecution")
        for index, term in enumerate(node.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
            at = f"{where}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
            errors += _weight(term, at)
            errors += _node_term(term.get("preference") or {}, f"{at}.preference")
    for key in ("podAffinity", "podAntiAffinity"):
        if (terms := found.get(key)) is not None:
            errors += _pod_affinity(terms, f"{field}.{key}")
    return errors


def _pod_affinity(found: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, term in enumerate(found.get("requiredDuringSchedulingIgnoredDuringExecution") or ()):
        errors += _pod_term(term, f"{where}.requiredDuringSchedulingIgnoredDuringExecution[{index}]")
    for index, weighted in enumerate(found.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        at = f"{where}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        errors += _weight(weighted, at)
        errors += _pod_term(weighted.get("podAffinityTerm") or {}, f"{at}.podAffinityTerm")
    return errors


def _pod_term(term: Object, where: str) -> list[FieldError]:
    errors = label_selector(term.get("labelSelector"), f"{where}.labelSelector")
    errors += label_selector(term.get("namespaceSelector"), f"{where}.namespaceSelector")
    for name in term.get("namespaces") or ():
        errors += [bad(f"{where}.namespaces", name, complaint) for complaint in formats.label_name(name)]
    key = term.get("topologyKey", "")
    if not key:
        return [*errors, required(f"{where}.topologyKey", "can not be empty")]
    return errors + [bad(f"{where}.topologyKey", key, complaint) for complaint in formats.qualified_name(key)]


def _weight(term: Object, where: str) -> list[FieldError]:
    weight = term.get("weight", 0)
    return [] if 1 <= weight <= 100 else [bad(f"{where}.weight", weight, "must be in the range 1-100")]
