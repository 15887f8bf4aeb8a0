"""What pods ask for, resource by resource, as LimitRanger and ResourceQuota count it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from panal.quantity import parse

Amounts = dict[str, Decimal]


def read(quantities: Mapping[str, str] | None) -> Amounts:
    """A ResourceList as numbers."""
    return {name: parse(text) for name, text in (quantities or {}).items()}


def of_container(container: Mapping[str, Any], which: str) -> Amounts:
    """A container's `requests` or `limits`."""
    return read((container.get("resources") or {}).get(which))


def of_pod(spec: Mapping[str, Any], which: str) -> Amounts:
    """What a pod needs at once: its containers together, or at its start more if an init container needs more.

    Init containers that keep running (restartPolicy: Always) count with the containers and with those that start later.
    """
    total: Amounts = {}
    for container in spec.get("containers") or ():
        total = add(total, of_container(container, which))
    running: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = of_container(container, which)
        if container.get("restartPolicy") == "Always":
            total, running = add(total, own), add(running, own)
            peak = highest(peak, running)
        else:
            peak = highest(peak, add(running, own))
    whole = highest(total, peak)
    whole.update(of_container(spec, which))  # of the pod itself, where it says so
    overhead = read(spec.get("overhead"))
    if which == "limits":
        overhead = {name: amount for name, amount in overhead.items() if whole.get(name)}
    return add(whole, overhead)


def add(one: Amounts, other: Amounts) -> Amounts:
    return {name: one.get(name, Decimal(0)) + other.get(name, Decimal(0)) for name in _names((one, other))}


def highest(one: Amounts, other: Amounts) -> Amounts:
    return {name: max(each[name] for each in (one, other) if name in each) for name in _names((one, other))}


def _names(several: Iterable[Amounts]) -> list[str]:
    return list(dict.fromkeys(name for each in several for name in each))
