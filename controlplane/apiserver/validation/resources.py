"""Checks of resource names and amounts: containers' requests and limits, quotas, limit ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panal import formats
from panal.quantity import parse

from ..fielderrors import FieldError, bad, required
from ..quantities import canonical

NOT_NEGATIVE = "must be greater than or equal to 0"
STANDARD = "must be a standard resource type or fully qualified"
_CONTAINER = frozenset(("cpu", "memory", "ephemeral-storage"))
_QUOTA = frozenset(
    (
        "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage",
        "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods",
        "resourcequotas", "services", "replicationcontrollers", "secrets", "persistentvolumeclaims", "configmaps",
        "services.nodeports", "services.loadbalancers",
    )
)  # fmt: skip
_STANDARD = _CONTAINER | _QUOTA | {"storage"}


def _overcommitted(name: str) -> bool:
    return ("/" not in name or "kubernetes.io/" in name) and not name.startswith("hugepages-")


def _name(name: str, field: str) -> list[FieldError]:
    errors = [bad(field, name, complaint) for complaint in formats.qualified_name(name)]
    if not errors and "/" not in name and name not in _STANDARD and not name.startswith("hugepages-"):
        errors.append(bad(field, name, STANDARD))
    return errors


def container_name(name: str, field: str) -> list[FieldError]:
    errors = _name(name, field)
    if "/" not in name and name not in _CONTAINER and not name.startswith("hugepages-"):
        errors.append(bad(field, name, "must be a standard resource for containers"))
    return errors


def quota_name(name: str, field: str) -> list[FieldError]:
    errors = _name(name, field)
    counted = name.startswith(("count/", "requests.")) or "/" in name or name.startswith("hugepages-")
    if not counted and name not in _QUOTA:
        errors.append(bad(field, name, "must be a standard resource for quota"))
    return errors


def amount(value: str, field: str) -> list[FieldError]:
    return [bad(field, value, NOT_NEGATIVE)] if parse(value) < 0 else []


def whole_amount(name: str, value: str, field: str) -> list[FieldError]:
    errors = amount(value, field)
    if not _fractional(name) and parse(value) % 1:
        errors.append(bad(field, value, "must be an integer"))
    return errors


def _fractional(name: str) -> bool:
    return name.rpartition(".")[2] in ("cpu", "memory", "ephemeral-storage", "storage")


def requirements(found: Mapping[str, Any], field: str) -> list[FieldError]:
    """A container's resources."""
    errors: list[FieldError] = []
    limits: Mapping[str, str] = found.get("limits") or {}
    requests: Mapping[str, str] = found.get("requests") or {}
    for name, value in sorted(limits.items()):
        errors += container_name(name, f"{field}.limits[{name}]")
        errors += whole_amount(name, value, f"{field}.limits[{name}]")
    for name, value in sorted(requests.items()):
        errors += container_name(name, f"{field}.requests[{name}]")
        errors += whole_amount(name, value, f"{field}.requests[{name}]")
        limit = limits.get(name)
        if limit is None:
            if not _overcommitted(name):
                errors.append(required(f"{field}.limits", "Limit must be set for non overcommitable resources"))
        elif parse(value) != parse(limit) and not _overcommitted(name):
            errors.append(bad(f"{field}.requests", value, f"must be equal to {name} limit of {canonical(limit)}"))
        elif parse(value) > parse(limit):
            words = f"must be less than or equal to {name} limit of {canonical(limit)}"
            errors.append(bad(f"{field}.requests", value, words))
    return errors


def quota(spec: Mapping[str, Any], field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, value in sorted((spec.get("hard") or {}).items()):
        errors += quota_name(name, f"{field}.hard[{name}]")
        errors += whole_amount(name, value, f"{field}.hard[{name}]")
    return errors


_LIMIT_KEYS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


def limit_range(spec: Mapping[str, Any], field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, item in enumerate(spec.get("limits") or ()):
        where = f"{field}.limits[{index}]"
        kind = item.get("type", "")
        if kind in seen:
            from ..fielderrors import duplicate

            errors.append(duplicate(f"{where}.type", kind))
        seen.add(kind)
        if kind == "Pod":
            from ..fielderrors import forbidden

            errors += [
                forbidden(f"{where}.{key}", "may not be specified when `type` is 'Pod'")
                for key in ("default", "defaultRequest")
                if item.get(key)
            ]
        names = sorted({name for key in _LIMIT_KEYS for name in item.get(key) or ()})
        for name in names:
            errors += _limit(item, name, where)
    return errors


def _limit(item: Mapping[str, Any], name: str, where: str) -> list[FieldError]:
    """The order between minimum, default request, default and maximum of one resource."""
    low, request, default, high, ratio = (
        (item.get(key) or {}).get(name) for key in ("min", "defaultRequest", "default", "max", "maxLimitRequestRatio")
    )
    errors: list[FieldError] = []

    def check(smaller: str | None, larger: str | None, key: str, shown: str | None, words: str) -> None:
        if smaller is not None and larger is not None and parse(smaller) > parse(larger):
            text = words.format(canonical(smaller), canonical(larger))
            errors.append(bad(f"{where}.{key}[{name}]", shown, text))

    check(low, high, "min", low, "min value {} is greater than max value {}")
    check(low, request, "defaultRequest", request, "min value {} is greater than default request value {}")
    check(request, high, "defaultRequest", request, "default request value {} is greater than max value {}")
    check(
        request, default, "defaultRequest", request, "default request value {} is greater than default limit value {}"
    )
    check(low, default, "default", low, "min value {} is greater than default value {}")
    check(default, high, "default", high, "default value {} is greater than max value {}")
    if ratio is not None and parse(ratio) < 1:
        errors.append(bad(f"{where}.maxLimitRequestRatio[{name}]", ratio, f"ratio {canonical(ratio)} is less than 1"))
    return errors
