"""Checks of NetworkPolicies: peers, address blocks with their exceptions, ports and ranges of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, forbidden, not_supported, required
from .labelselectors import label_selector

Object = Mapping[str, Any]

_PROTOCOLS = ("TCP", "UDP", "SCTP")


def network_policy(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors = label_selector(spec.get("podSelector"), "spec.podSelector")
    for direction, key in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            where = f"spec.{direction}[{index}]"
            for position, port in enumerate(rule.get("ports") or ()):
                errors += _port(port, f"{where}.ports[{position}]")
            for position, peer in enumerate(rule.get(key) or ()):
                errors += _peer(peer, f"{where}.{key}[{position}]")
    kinds = spec.get("policyTypes") or ()
    if len(kinds) > 2:
        errors.append(bad("spec.policyTypes", list(kinds), "may not specify more than two policyTypes"))
        return errors
    for index, kind in enumerate(kinds):
        if kind not in ("Ingress", "Egress"):
            errors.append(not_supported(f"spec.policyTypes[{index}]", kind, ("Ingress", "Egress")))
    return errors


def _port(found: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    protocol, port, end = found.get("protocol"), found.get("port"), found.get("endPort")
    if protocol is not None and protocol not in _PROTOCOLS:
        errors.append(not_supported(f"{where}.protocol", protocol, _PROTOCOLS))
    if port is None:
        if end is not None:
            errors.append(bad(f"{where}.endPort", end, "may not be specified when `port` is not specified"))
    elif isinstance(port, int):
        if end is not None:
            if end < port:
                errors.append(bad(f"{where}.endPort", end, "must be greater than or equal to `port`"))
            errors += [bad(f"{where}.endPort", end, text) for text in formats.port_number(end)]
        errors += [bad(f"{where}.port", port, text) for text in formats.port_number(port)]
    else:
        if end is not None:
            errors.append(bad(f"{where}.endPort", end, "may not be specified when `port` is non-numeric"))
        errors += [bad(f"{where}.port", port, text) for text in formats.port_name(port)]
    return errors


def _peer(peer: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if not peer:
        return [required(where, "must specify a peer")]
    for key in ("podSelector", "namespaceSelector"):
        errors += label_selector(peer.get(key), f"{where}.{key}")
    block = peer.get("ipBlock")
    if block is not None:
        if len(peer) > 1:
            errors.append(forbidden(where, "may not specify both ipBlock and another peer"))
        errors += _block(block, f"{where}.ipBlock")
    return errors


def _block(block: Object, where: str) -> list[FieldError]:
    network = block.get("cidr", "")
    if not network:
        return [required(f"{where}.cidr")]
    errors = [bad(f"{where}.cidr", network, text) for text in formats.cidr(network)]
    if errors:
        return errors
    whole = ipaddress.ip_network(network, strict=False)
    for index, excepted in enumerate(block.get("except") or ()):
        at = f"{where}.except[{index}]"
        if wrong := formats.cidr(excepted):
            errors += [bad(at, excepted, text) for text in wrong]
            continue
        part = ipaddress.ip_network(excepted, strict=False)
        if part.version != whole.version or part.prefixlen <= whole.prefixlen or part[0] not in whole:
            errors.append(bad(at, excepted, "must be a strict subset of `cidr`"))
    return errors
