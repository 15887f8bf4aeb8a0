"""What a cluster has whose file says nothing of it: its nodes, and each node's part of the pod network. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any


def default_nodes(count: int) -> list[dict[str, Any]]:
    """nodo1 192.168.0.100, the control plane; nodoa .101, nodob .102, ..., nodoz, nodoaa, ..."""
    names = ["nodo1", *(f"nodo{_letters(index)}" for index in range(count - 1))]
    first = IPv4Address("192.168.0.100")
    return [
        {"name": node, "address": str(first + index), **({"controlPlane": True} if index == 0 else {})}
        for index, node in enumerate(names)
    ]


def _letters(index: int) -> str:
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters


def divide(cidr: IPv4Network, count: int) -> list[IPv4Network]:
    """The pod CIDR in equal parts, one a node, none larger than a /24. Raises ValueError when they get too small."""
    bits = max((count - 1).bit_length(), 0)
    prefix = max(cidr.prefixlen + bits, min(24, 29)) if cidr.prefixlen + bits <= 29 else 30
    if prefix > 29:
        raise ValueError(f"{cidr} is too small for {count} nodes of at least 5 pods")
    parts = cidr.subnets(new_prefix=prefix)
    return [next(parts) for _ in range(count)]
