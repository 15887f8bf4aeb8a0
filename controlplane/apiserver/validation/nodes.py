"""Checks of Nodes."""

from __future__ import annotations

import ipaddress
from typing import Any

from panal import formats
from panal.quantity import parse

from ..fielderrors import FieldError, bad, duplicate, forbidden
from .checks import Object, formatted, items
from .resources import whole_amount
from .scheduling import taints

_TAINTS = "metadata.taints"
"""Where Kubernetes says that taints are, although they are in the specification."""


def node(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors = taints(spec.get("taints") or (), _TAINTS) + _amounts(obj)
    cidrs = list(spec.get("podCIDRs") or ())
    for found, where in items(cidrs, "spec.podCIDRs"):
        errors += formatted(found, where, formats.cidr)
    if len(cidrs) > 1 and not errors:
        if len(cidrs) > 2 or len({ipaddress.ip_interface(each).version for each in cidrs}) < 2:
            errors.append(bad("spec.podCIDRs", cidrs, "may specify no more than one CIDR for each IP family"))
        errors += _repeated(cidrs, "spec.podCIDRs")
    return errors


def _repeated(found: list[Any], field: str) -> list[FieldError]:
    return [duplicate(f"{field}[{index}]", each) for index, each in enumerate(found) if each in found[:index]]


def _amounts(obj: Object) -> list[FieldError]:
    status = obj.get("status") or {}
    return [
        error
        for key in ("capacity", "allocatable")
        for name, value in sorted((status.get(key) or {}).items())
        if parse(value) < 0 or parse(value) % 1
        for error in whole_amount(name, value, f"status.{key}.{name}")
    ]


def node_update(new: Object, old: Object) -> list[FieldError]:
    now, was = new.get("spec") or {}, old.get("spec") or {}
    words = 'node updates may not change {} except from "" to valid'
    errors = _amounts(new)
    errors += _repeated((new.get("status") or {}).get("addresses") or [], "status.addresses")
    if was.get("podCIDRs") and now.get("podCIDRs") != was.get("podCIDRs"):
        errors.append(forbidden("spec.podCIDRs", words.format("podCIDR")))
    if was.get("providerID") and now.get("providerID") != was.get("providerID"):
        errors.append(forbidden("spec.providerID", words.format("providerID")))
    return errors + taints(now.get("taints") or (), _TAINTS)
