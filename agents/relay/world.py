"""What the cluster's Nodes mean to an agent: who is on another machine, and which pods lie behind whom. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address
from typing import Any

from panal.addresses import LAN_ADDRESS
from panal.agents.network.routes import Routes, wanted

Node = Mapping[str, Any]


def remote_address(node: Node) -> bytes | None:
    """The LAN address of a node on another machine than the control plane's, packed; None for one that has none."""
    text = (node["metadata"].get("annotations") or {}).get(LAN_ADDRESS)
    try:
        return IPv4Address(text).packed if text else None
    except ValueError:
        return None


def refusal(node: Node | None, name: str, here: Iterable[bytes], others: Iterable[Node]) -> str | None:
    """Why a node that shows its certificate may not be connected; None if it may."""
    if node is None:
        return f"the cluster has no node called {name!r}: it was removed, and its machine has to join again"
    address = remote_address(node)
    if address is None:
        return f"the node {name!r} has no address of the company LAN"
    if address in here:
        return f"the address of the node {name!r} is another host's"
    elder = [node["metadata"]["creationTimestamp"], name]
    for other in others:
        same = other["metadata"]["name"] != name and remote_address(other) == address
        if same and [other["metadata"]["creationTimestamp"], other["metadata"]["name"]] < elder:
            return f"the address of the node {name!r} is that of the node {other['metadata']['name']!r}"
    return None


def routes(nodes: Iterable[Node], own: str, here: Iterable[str]) -> Routes:
    """Routes of the host called `own` to the pods of nodes that are not `here`: those are routed already."""
    local = set(here)
    return wanted([node for node in nodes if node["metadata"]["name"] not in local], own)
