"""Checks of what says where a pod may run: tolerations, affinity, topology spread; and of taints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from panal import formats

from ..fielderrors import FieldError, Shown, bad, duplicate, forbidden, not_supported, required
from .checks import POSITIVE, formatted, items, optional_choice
from .labelselectors import label_selector

Object = Mapping[str, Any]

_WITHOUT_SELECTOR = "must not be specified when labelSelector is not set"
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


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
            if wrong := formats.label_value(value):
                errors.append(bad(f"{where}.operator", value, ";".join(wrong)))
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
        if wrong := formats.label_value(value):
            errors.append(bad(f"{where}.value", value, ";".join(wrong)))
        if not effect:
            errors.append(required(f"{where}.effect"))
        elif effect not in EFFECTS:
            errors.append(not_supported(f"{where}.effect", effect, EFFECTS))
        if (key, effect) in seen:
            shown = {"Key": key, "Value": value, "Effect": effect, "TimeAdded": taint.get("timeAdded")}
            words = "taints must be unique by key and effect pair"
            errors.append(FieldError("Duplicate", where, Shown(_compact(shown)), words))
        seen.add((key, effect))
    return errors


def _compact(shown: Any) -> str:
    return orjson.dumps(shown).decode()


def topology_spread(found: Sequence[Object], field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    kinds = [(each.get("topologyKey", ""), each.get("whenUnsatisfiable", "")) for each in found]
    for index, constraint in enumerate(found):
        where, (key, action) = f"{field}[{index}]", kinds[index]
        skew, domains = constraint.get("maxSkew", 0), constraint.get("minDomains")
        if skew <= 0:
            errors.append(bad(f"{where}.maxSkew", skew, POSITIVE))
        if not key:
            errors.append(required(f"{where}.topologyKey", "can not be empty"))
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            errors.append(not_supported(f"{where}.whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway")))
        if kinds[index] in kinds[index + 1 :]:
            errors.append(duplicate(f"{where}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}"))
        if domains is not None and domains <= 0:
            errors.append(bad(f"{where}.minDomains", domains, POSITIVE))
        if domains is not None and action != "DoNotSchedule":
            words = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
            errors.append(bad(f"{where}.minDomains", domains, words))
        for policy in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            errors += optional_choice(constraint.get(policy), f"{where}.{policy}", ("Honor", "Ignore"))
        errors += _spread_keys(constraint, f"{where}.matchLabelKeys")
        errors += label_selector(constraint.get("labelSelector"), f"{where}.labelSelector")
    return errors


def _spread_keys(constraint: Object, field: str) -> list[FieldError]:
    keys, selector = constraint.get("matchLabelKeys") or (), constraint.get("labelSelector")
    if not keys:
        return []
    errors = [] if selector is not None else [forbidden(field, _WITHOUT_SELECTOR)]
    selected = {*((selector or {}).get("matchLabels") or ())}
    selected |= {each.get("key") for each in (selector or {}).get("matchExpressions") or ()}
    for key, where in items(keys, field):
        errors += formatted(key, where, formats.qualified_name)
        if key in selected:
            errors.append(bad(where, key, "exists in both matchLabelKeys and labelSelector"))
    return errors


def node_selector(selector: Object, field: str) -> list[FieldError]:
    terms = selector.get("nodeSelectorTerms") or ()
    if not terms:
        return [required(f"{field}.nodeSelectorTerms", "must have at least one node selector term")]
    errors: list[FieldError] = []
    for index, term in enumerate(terms):
        errors += _node_term(term, f"{field}.nodeSelectorTerms[{index}]")
    return errors


def _node_term(term: Object, where: str, *, values: bool = True) -> list[FieldError]:
    """`values`: whether the values have to be those of labels."""
    errors: list[FieldError] = []
    for expression, at in items(term.get("matchExpressions"), f"{where}.matchExpressions"):
        operator, found = expression.get("operator", ""), expression.get("values") or ()
        if operator in ("In", "NotIn"):
            if not found:
                errors.append(required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist"):
            if found:
                words = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                errors.append(forbidden(f"{at}.values", words))
        elif operator in ("Gt", "Lt"):
            if len(found) != 1:
                words = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                errors.append(required(f"{at}.values", words))
        else:
            errors.append(bad(f"{at}.operator", operator, "not a valid selector operator"))
        errors += formatted(expression.get("key", ""), f"{at}.key", formats.qualified_name)
        for value, place in items(found if values else (), f"{at}.values"):
            errors += formatted(value, place, formats.label_value)
    for expression, at in items(term.get("matchFields"), f"{where}.matchFields"):
        errors += _node_field(expression, at)
    return errors


def _node_field(expression: Object, where: str) -> list[FieldError]:
    operator, values = expression.get("operator", ""), expression.get("values") or ()
    errors: list[FieldError] = []
    if operator not in ("In", "NotIn"):
        errors.append(bad(f"{where}.operator", operator, "not a valid selector operator"))
    elif len(values) != 1:
        words = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        errors.append(required(f"{where}.values", words))
    if expression.get("key") != "metadata.name":
        errors.append(bad(f"{where}.key", expression.get("key", ""), "not a valid field selector key"))
    else:
        for value, at in items(values, f"{where}.values"):
            errors += formatted(value, at, formats.subdomain_name)
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
            errors += _node_term(term.get("preference") or {}, f"{at}.preference", values=False)
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
        errors += formatted(name, f"{where}.namespace", formats.label_name)
    errors += _label_keys(term, where)
    key = term.get("topologyKey", "")
    if not key:
        errors.append(required(f"{where}.topologyKey", "can not be empty"))
    return errors + formatted(key, f"{where}.topologyKey", formats.qualified_name)


def _label_keys(term: Object, where: str) -> list[FieldError]:
    """Labels whose values are the pod's own. What they stand for is in the selector already."""
    errors: list[FieldError] = []
    matched, mismatched = term.get("matchLabelKeys") or [], term.get("mismatchLabelKeys") or []
    selector = term.get("labelSelector")
    for key, found in (("matchLabelKeys", matched), ("mismatchLabelKeys", mismatched)):
        if found and selector is None:
            errors.append(forbidden(f"{where}.{key}", _WITHOUT_SELECTOR))
        elif found:
            for each, at in items(found, f"{where}.{key}"):
                errors += formatted(each, at, formats.qualified_name)
    known = {*((selector or {}).get("matchLabels") or ())}
    for expression in (selector or {}).get("matchExpressions") or ():
        key = expression.get("key", "")
        if key in matched and key in known:
            words = "exists in both matchLabelKeys and labelSelector"
            errors.append(bad(f"{where}[{matched.index(key)}]", key, words))
        known.add(key)
    words = "exists in both matchLabelKeys and mismatchLabelKeys"
    return errors + [bad(at, key, words) for key, at in items(matched, f"{where}.matchLabelKeys") if key in mismatched]


def _weight(term: Object, where: str) -> list[FieldError]:
    weight = term.get("weight", 0)
    return [] if 1 <= weight <= 100 else [bad(f"{where}.weight", weight, "must be in the range 1-100")]
