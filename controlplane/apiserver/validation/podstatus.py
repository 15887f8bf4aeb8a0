"""What may be written into a pod's status: addresses of both families, and nothing that has ended begins again."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, duplicate, forbidden
from .checks import Object, formatted, items
from .meta import immutable
from .podupdate import annotation_update

_SYSTEM = ("PodScheduled", "Ready", "Initialized")
_ONE_EACH = "may specify no more than one IP for each IP family"


def pod_status(new: Object, old: Object) -> list[FieldError]:
    status, before = new.get("status") or {}, old.get("status") or {}
    spec = old.get("spec") or {}
    errors = annotation_update(new, old)
    for condition, where in items(status.get("conditions"), "metadata.conditions"):
        if condition.get("type") not in _SYSTEM:
            errors += formatted(condition.get("type", ""), f"{where}.Type", formats.qualified_name)
    nominated = status.get("nominatedNodeName")
    if nominated and nominated != before.get("nominatedNodeName"):
        errors += formatted(nominated, "status.nominatedNodeName", formats.subdomain_name)
    if before.get("qosClass"):
        errors += immutable(status.get("qosClass"), before.get("qosClass"), "status.qosClass")
    restart = spec.get("restartPolicy", "Always")
    sidecars = {each.get("name") for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"}
    own = {each.get("name") for each in spec.get("containers") or () if each.get("restartPolicy")}
    for key, policy, free in (
        ("containerStatuses", restart, own),
        ("initContainerStatuses", restart, sidecars),
        ("ephemeralContainerStatuses", "Never", set()),
    ):
        errors += _ended(status.get(key) or (), before.get(key) or (), f"status.{key}", policy, free)
    errors += _addresses(status.get("podIPs") or (), "status.podIPs")
    return errors + _addresses(status.get("hostIPs") or (), "status.hostIPs")


def _ended(new: Sequence[Object], old: Sequence[Object], field: str, policy: str, free: set[Any]) -> list[FieldError]:
    """A container that is not restarted stays ended."""
    if policy == "Always":
        return []
    now = {each.get("name"): each for each in new}
    errors: list[FieldError] = []
    for index, each in enumerate(old):
        ended = (each.get("state") or {}).get("terminated")
        if ended is None or each.get("name") in free or (ended.get("exitCode") and policy == "OnFailure"):
            continue
        found = now.get(each.get("name"))
        if found is not None and (found.get("state") or {}).get("terminated") is None:
            words = "may not be transitioned to non-terminated state"
            errors.append(forbidden(f"{field}[{index}].state", words))
    return errors


def _addresses(found: Sequence[Object], field: str) -> list[FieldError]:
    addresses = [each.get("ip", "") for each in found]
    errors = [error for ip, where in items(addresses, field) for error in formatted(ip, where, formats.ip_address)]
    if errors or len(addresses) < 2:
        return errors
    families = [ipaddress.ip_address(ip).version for ip in addresses]
    if len(addresses) > 2 or len(set(families)) < 2:
        errors.append(bad(field, list(found), _ONE_EACH))
    return errors + [
        duplicate(f"{field}[{index}]", each)
        for index, each in enumerate(found)
        if addresses[index] in addresses[:index]
    ]
