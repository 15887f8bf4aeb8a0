"""From the cluster's Nodes to one node's routes: every other node's pods lie behind its address. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

Routes = dict[str, str]
"""Network -> gateway."""


def wanted(nodes: Iterable[Mapping[str, Any]], own: str) -> Routes:
    """The routes of the node called `own`. Nodes without an address or pods, or with nonsense for them, get none."""
    found: Routes = {}
    for node in nodes:
        address, cidr = _address(node), _cidr(node)
        if node["metadata"]["name"] != own and address is not None and cidr is not None:
            found.setdefault(cidr, address)
    return found


def changes(have: Mapping[str, str], want: Mapping[str, str]) -> tuple[Routes, list[str]]:
    """What to add (or to lead elsewhere), and which networks to forget."""
    add = {cidr: gateway for cidr, gateway in want.items() if have.get(cidr) != gateway}
    return add, sorted(cidr for cidr in have if cidr not in want)


def _address(node: Mapping[str, Any]) -> str | None:
    for item in (node.get("status") or {}).get("addresses") or ():
        if item.get("type") == "InternalIP":
            try:
                return str(IPv4Address(item.get("address", "")))
            except ValueError:
                return None
    return None


def _cidr(node: Mapping[str, Any]) -> str | None:
    try:
        return str(IPv4Network((node.get("spec") or {}).get("podCIDR") or "none"))
    except ValueError:
        return None
