"""Checks of resource names and amounts, and of what containers and pods request and are limited to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from panal import formats
from panal.quantity import QuantityError, parse

from ..fielderrors import FieldError, bad, forbidden, not_supported, required
from ..quantities import canonical
from .checks import NOT_NEGATIVE

STANDARD = "must be a standard resource type or fully qualified"
_CONTAINER = frozenset(("cpu", "memory", "ephemeral-storage"))
_COUNTED = frozenset(
    (
        "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "persistentvolumeclaims",
        "configmaps", "services.nodeports", "services.loadbalancers",
    )
)  # fmt: skip
_QUOTA = _COUNTED | frozenset(
    (
        "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage",
        "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage",
    )
)  # fmt: skip
_STANDARD = _CONTAINER | _QUOTA | {"storage"}
_HUGE = "hugepages-"


def _native(name: str) -> bool:
    """Whether Kubernetes itself knows the resource, not only a device plugin."""
    return "/" not in name or "kubernetes.io/" in name


def _extended(name: str) -> bool:
    return not (_native(name) or name.startswith("requests.") or formats.qualified_name(f"requests.{name}"))


def _overcommitted(name: str) -> bool:
    return _native(name) and not name.startswith(_HUGE)


def standard_quota(name: str) -> bool:
    return name in _QUOTA or name.startswith((_HUGE, f"requests.{_HUGE}"))


def resource_name(name: str, field: str) -> list[FieldError]:
    errors = [bad(field, name, complaint) for complaint in formats.qualified_name(name)]
    if not errors and "/" not in name and name not in _STANDARD and not name.startswith((_HUGE, f"requests.{_HUGE}")):
        errors.append(bad(field, name, STANDARD))
    return errors


def container_name(name: str, field: str) -> list[FieldError]:
    errors = resource_name(name, field)
    if "/" not in name:
        if name not in _CONTAINER and not name.startswith(_HUGE):
            errors.append(bad(field, name, "must be a standard resource for containers"))
    elif not _native(name) and not _extended(name):
        errors.append(bad(field, name, "doesn't follow extended resource name standard"))
    return errors


def pod_name(name: str, field: str) -> list[FieldError]:
    """What a pod as a whole may ask for."""
    errors = resource_name(name, field)
    if not errors and name not in ("cpu", "memory") and not name.startswith(_HUGE):
        errors.append(not_supported(field, name, ("cpu", "memory")))
    return errors


def quota_name(name: str, field: str) -> list[FieldError]:
    errors = resource_name(name, field)
    if "/" not in name and not standard_quota(name):
        errors.append(bad(field, name, "must be a standard resource for quota"))
    return errors


def whole_amount(name: str, value: str, field: str) -> list[FieldError]:
    """An amount of what comes in wholes only, where it does."""
    errors = [bad(field, value, NOT_NEGATIVE)] if parse(value) < 0 else []
    if (name in _COUNTED or _extended(name)) and parse(value) % 1:
        errors.append(bad(field, value, "must be an integer"))
    return errors


def _pages(name: str, value: str, field: str) -> list[FieldError]:
    size, amount = _page_size(name), parse(value)
    if size is None or (amount > 0 and amount % size == 0):
        return []
    return [bad(field, canonical(value), f"{canonical(value)} is not positive integer multiple of {name}")]


def _page_size(name: str) -> Decimal | None:
    if not name.startswith(_HUGE):
        return None
    try:
        return parse(name.removeprefix(_HUGE)) or None
    except QuantityError:
        return None


Check = Callable[[str, str], list[FieldError]]


def requirements(found: Mapping[str, Any], field: str, check: Check = container_name) -> list[FieldError]:
    """A container's resources, or, with another check of their names, a pod's."""
    errors: list[FieldError] = []
    limits: Mapping[str, str] = found.get("limits") or {}
    requests: Mapping[str, str] = found.get("requests") or {}
    for key, amounts in (("limits", limits), ("requests", requests)):
        for name, value in sorted(amounts.items()):
            where = f"{field}.{key}[{name}]"
            errors += check(name, where) + whole_amount(name, value, where)
            if key == "requests":
                errors += _within(name, value, limits.get(name), field)
            errors += _pages(name, value, where)
    asked = {*limits, *requests}
    if any(name.startswith(_HUGE) for name in asked) and not asked & {"cpu", "memory"}:
        errors.append(forbidden(field, "HugePages require cpu or memory"))
    return errors


def _within(name: str, value: str, limit: str | None, field: str) -> list[FieldError]:
    """A request against its limit."""
    if limit is None:
        if _overcommitted(name):
            return []
        return [required(f"{field}.limits", "Limit must be set for non overcommitable resources")]
    if parse(value) != parse(limit) and not _overcommitted(name):
        return [bad(f"{field}.requests", value, f"must be equal to {name} limit of {canonical(limit)}")]
    if parse(value) > parse(limit):
        return [bad(f"{field}.requests", value, f"must be less than or equal to {name} limit of {canonical(limit)}")]
    return []


def together(spec: Mapping[str, Any]) -> dict[str, Decimal]:
    """What the containers of a pod ask for together: those that run at once, or the greediest of those before."""
    total: dict[str, Decimal] = {}
    first: dict[str, Decimal] = {}
    sidecars: dict[str, Decimal] = {}
    for container in spec.get("initContainers") or ():
        stays = container.get("restartPolicy") == "Always"
        for name, amount in _asked(container):
            if stays:
                sidecars[name] = sidecars.get(name, Decimal()) + amount
            now = sidecars.get(name, Decimal()) + (Decimal() if stays else amount)
            first[name] = max(first.get(name, Decimal()), now)
    for container in spec.get("containers") or ():
        for name, amount in _asked(container):
            total[name] = total.get(name, Decimal()) + amount
    for name, amount in sidecars.items():
        total[name] = total.get(name, Decimal()) + amount
    return {name: max(total.get(name, Decimal()), first.get(name, Decimal())) for name in {*total, *first}}


def _asked(container: Mapping[str, Any]) -> Iterator[tuple[str, Decimal]]:
    for name, value in ((container.get("resources") or {}).get("requests") or {}).items():
        if name in ("cpu", "memory") or name.startswith(_HUGE):
            yield name, parse(value)
