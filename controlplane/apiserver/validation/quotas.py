"""Checks of ResourceQuotas and LimitRanges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panal import formats
from panal.quantity import parse

from ..fielderrors import FieldError, bad, duplicate, forbidden, required
from ..quantities import canonical
from .checks import Object, formatted, items
from .meta import IMMUTABLE
from .resources import container_name, quota_name, resource_name, standard_quota, whole_amount

_SCOPES = (
    "Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
)  # fmt: skip
_PODS = frozenset(
    ("pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory")
)  # fmt: skip
_LIMITED: Mapping[str, frozenset[str]] = {
    "Terminating": _PODS, "NotTerminating": _PODS, "NotBestEffort": _PODS, "PriorityClass": _PODS,
    "CrossNamespacePodAffinity": _PODS, "BestEffort": frozenset(("pods",)),
    "VolumeAttributesClass": frozenset(("persistentvolumeclaims", "requests.storage")),
}  # fmt: skip
"""The resources that a scope can tell apart."""
_OPPOSITES = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
_ONLY_EXISTS = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)


def amounts(found: Mapping[str, str] | None, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, value in sorted((found or {}).items()):
        errors += quota_name(name, f"{field}[{name}]") + whole_amount(name, value, f"{field}[{name}]")
    return errors


def quota(obj: Object) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    errors = amounts(spec.get("hard"), "spec.hard")
    hard = sorted(name for name in spec.get("hard") or () if standard_quota(name))
    scopes = list(spec.get("scopes") or ())
    for scope in scopes:
        if scope not in _SCOPES:
            errors.append(bad("spec.scopes", scopes, "unsupported scope"))
        errors += [bad("spec.scopes", scopes, "unsupported scope applied to resource")] * _unfit(scope, hard)
    errors += _opposed(scopes, scopes, "spec.scopes")
    return errors + _selector(spec, hard)


def _unfit(scope: str, hard: list[str]) -> int:
    return sum(1 for name in hard if scope in _LIMITED and name not in _LIMITED[scope])


def _opposed(found: list[str], shown: list[str] | None, field: str) -> list[FieldError]:
    return [bad(field, shown, "conflicting scopes") for pair in _OPPOSITES if set(pair) <= set(found)]


def _selector(spec: Object, hard: list[str]) -> list[FieldError]:
    """Kubernetes does not say which expression is wrong."""
    selector, where = spec.get("scopeSelector"), "spec.scopeSelector.matchExpressions"
    if selector is None:
        return []
    errors: list[FieldError] = []
    found: list[str] = []
    for each in selector.get("matchExpressions") or ():
        scope, operator, values = each.get("scopeName", ""), each.get("operator", ""), each.get("values") or []
        if scope not in _SCOPES:
            errors.append(bad(f"{where}.scopeName", scope, "unsupported scope"))
        errors += [bad(where, selector, "unsupported scope applied to resource")] * _unfit(scope, hard)
        if scope in _SCOPES and scope not in ("PriorityClass", "VolumeAttributesClass") and operator != "Exists":
            errors.append(bad(f"{where}.operator", operator, _ONLY_EXISTS))
        if operator in ("In", "NotIn"):
            if not values:
                words = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                errors.append(required(f"{where}.values", words))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                words = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                errors.append(bad(f"{where}.values", values, words))
        else:
            errors.append(bad(f"{where}.operator", operator, "not a valid selector operator"))
        found.append(scope)
    return errors + _opposed(found, spec.get("scopes"), where)


def quota_update(new: Object, old: Object) -> list[FieldError]:
    now, was = ((obj.get("spec") or {}).get("scopes") for obj in (new, old))
    return [] if set(now or ()) == set(was or ()) else [bad("spec.scopes", now, IMMUTABLE)]


def quota_status(obj: Object, old: Object) -> list[FieldError]:
    status = obj.get("status") or {}
    return amounts(status.get("hard"), "status.hard") + amounts(status.get("used"), "status.used")


_KEYS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_TYPES = ("Pod", "Container", "PersistentVolumeClaim")


def limit_range(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for item, where in items((obj.get("spec") or {}).get("limits"), "spec.limits"):
        kind = item.get("type", "")
        wrong = formatted(kind, f"{where}.type", formats.qualified_name)
        if not wrong and "/" not in kind and kind not in _TYPES:
            wrong.append(bad(f"{where}.type", kind, "must be a standard limit type or fully qualified"))
        errors += wrong
        if kind in seen:
            errors.append(duplicate(f"{where}.type", kind))
        seen.add(kind)
        errors += _limits(item, kind, where)
    return errors


def _limits(item: Object, kind: str, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    check = container_name if kind in ("Pod", "Container") else resource_name
    for key in _KEYS:
        if kind == "Pod" and key in ("default", "defaultRequest"):
            if item.get(key):
                errors.append(forbidden(f"{where}.{key}", "may not be specified when `type` is 'Pod'"))
            continue
        for name in sorted(item.get(key) or ()):
            errors += check(name, f"{where}.{key}[{name}]")
        if key == "defaultRequest" and kind == "PersistentVolumeClaim":
            if not any("storage" in (item.get(bound) or {}) for bound in ("min", "max")):
                words = "either minimum or maximum storage value is required, but neither was provided"
                errors.append(required(f"{where}.limits", words))
    for name in sorted({name for key in _KEYS for name in item.get(key) or ()}):
        errors += _limit(item, name, where)
    return errors


def _limit(item: Object, name: str, where: str) -> list[FieldError]:
    """The order between minimum, default request, default and maximum of one resource."""
    low, request, default, high, ratio = (
        (item.get(key) or {}).get(name) for key in ("min", "defaultRequest", "default", "max", "maxLimitRequestRatio")
    )
    errors: list[FieldError] = []

    def check(smaller: str | None, larger: str | None, key: str, shown: Any, words: str) -> None:
        if smaller is not None and larger is not None and parse(smaller) > parse(larger):
            text = words.format(canonical(smaller), canonical(larger))
            errors.append(bad(f"{where}.{key}[{name}]", shown, text))

    check(low, high, "min", low, "min value {} is greater than max value {}")
    check(low, request, "defaultRequest", request, "min value {} is greater than default request value {}")
    check(request, high, "defaultRequest", request, "default request value {} is greater than max value {}")
    words = "default request value {} is greater than default limit value {}"
    check(request, default, "defaultRequest", request, words)
    check(low, default, "default", low, "min value {} is greater than default value {}")
    check(default, high, "default", high, "default value {} is greater than max value {}")
    field = f"{where}.maxLimitRequestRatio[{name}]"
    if ratio is not None and parse(ratio) < 1:
        errors.append(bad(field, ratio, f"ratio {canonical(ratio)} is less than 1"))
    if ratio is not None and low is not None and high is not None and parse(low):
        most = parse(high) / parse(low)
        if parse(ratio) > most:
            words = f"ratio {canonical(ratio)} is greater than max/min = {float(most):f}"
            errors.append(bad(field, ratio, words))
    return errors
