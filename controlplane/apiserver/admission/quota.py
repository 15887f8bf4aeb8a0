"""ResourceQuota: a namespace uses no more than its quotas allow.

What is used is counted from the objects as they are stored, not read from the quota's status, which follows a moment
later. The registry writes into a namespace with quotas one object after the other, so that the count is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from panal.errors import Forbidden
from panal.quantity import parse
from panal.resources import PODS, RESOURCEQUOTAS, Resource

from .. import quantities
from . import usage
from .amounts import Amounts
from .attributes import Attributes, Object, Reader

_UNLIMITED = frozenset((("", "events"), ("events.k8s.io", "events")))
"""Resources that no quota counts."""


def validate(attributes: Attributes, reader: Reader) -> None:
    """Raises Forbidden when a quota would be exceeded."""
    resource = attributes.resource
    if attributes.operation not in ("CREATE", "UPDATE") or attributes.subresource or not resource.namespaced:
        return
    if (resource.group, resource.plural) in _UNLIMITED:
        return
    quotas = list(reader.list(RESOURCEQUOTAS, attributes.namespace))
    if not quotas:
        return
    wanted = _more(attributes)
    for quota in quotas:
        _check(quota, wanted, attributes, reader)


def _more(attributes: Attributes) -> Amounts:
    """What the request adds to what is used."""
    used = usage.of(attributes.resource, attributes.obj)
    if attributes.old is None:
        return used
    before = usage.of(attributes.resource, attributes.old)
    more = {name: amount - before.get(name, Decimal(0)) for name, amount in used.items()}
    return {name: amount for name, amount in more.items() if amount > 0}


def _check(quota: Object, wanted: Amounts, attributes: Attributes, reader: Reader) -> None:
    hard = (quota.get("spec") or {}).get("hard") or {}
    resource, obj, name = attributes.resource, attributes.obj, quota["metadata"]["name"]
    asked = {item: amount for item, amount in wanted.items() if item in hard}
    if resource == PODS and attributes.old is None and usage.concerns(quota, resource, obj):
        if missing := usage.undeclared(obj, hard):
            raise _forbidden(attributes, f"failed quota: {name}: must specify {missing}")
    if not asked or not usage.concerns(quota, resource, obj):
        return
    used = _used(quota, resource, asked, attributes, reader)
    over = [item for item, amount in asked.items() if used[item] + amount > parse(hard[item])]
    if over:
        shown = (_shown({item: each[item] for item in over}, hard) for each in (asked, used))
        requested, present = shown
        limited = ",".join(f"{item}={hard[item]}" for item in sorted(over))
        why = f"exceeded quota: {name}, requested: {requested}, used: {present}, limited: {limited}"
        raise _forbidden(attributes, why)


def _used(
    quota: Object, resource: Resource, asked: Amounts, attributes: Attributes, reader: Reader
) -> dict[str, Decimal]:
    """What the namespace's other objects of the kind use of it."""
    own = attributes.obj["metadata"].get("name") if attributes.old is not None else None
    total = dict.fromkeys(asked, Decimal(0))
    for other in reader.list(resource, attributes.namespace):
        if not usage.concerns(quota, resource, other):
            continue
        source = attributes.old if own is not None and other["metadata"]["name"] == own else other
        for item, amount in usage.of(resource, source or other).items():
            if item in total:
                total[item] += amount
    return total


def _shown(found: Mapping[str, Decimal], hard: Mapping[str, str]) -> str:
    """As Kubernetes prints them; memory in the unit that the quota is written in."""
    return ",".join(
        f"{item}={quantities.written(found[item], binary=str(hard[item]).endswith('i'))}" for item in sorted(found)
    )


def _forbidden(attributes: Attributes, why: str) -> Forbidden:
    resource, name = attributes.resource, attributes.obj["metadata"].get("name", "")
    details = {"name": name, **({"group": resource.group} if resource.group else {}), "kind": resource.plural}
    return Forbidden(f'{resource.group_resource} "{name}" is forbidden: {why}', details=details)
