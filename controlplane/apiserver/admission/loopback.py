"""In the `loopback` network addresses written into a Service are brought into 127/8, as all addresses there are.

Panal's own; part of the order only in that network (see panal.addresses).
"""

from __future__ import annotations

import ipaddress
from typing import Any

from panal.addresses import localize
from panal.resources import SERVICES

from .attributes import Attributes, Reader


def admit(attributes: Attributes, reader: Reader) -> None:
    if attributes.resource != SERVICES or attributes.subresource:
        return
    spec: dict[str, Any] = attributes.obj.get("spec") or {}
    for field in ("clusterIP", "loadBalancerIP"):
        if spec.get(field):
            spec[field] = _local(spec[field])
    for field in ("clusterIPs", "externalIPs"):
        if spec.get(field):
            spec[field] = [_local(each) for each in spec[field]]


def _local(text: Any) -> Any:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return text  # "None", or validation's to refuse
    return text if address.is_loopback else localize(text)
