"""Which part of the pod network, and which address of the LAN, a node gets. Pure.

Nodes that a cluster starts with bring both; a machine that joins gets them here. Where its node lives in a company LAN
that spans machines, it asks for an address with an empty annotation, which is filled in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network

from panal.addresses import LAN_ADDRESS

from ..meta import Object, metadata, spec, status

Range = tuple[int, int]
"""First and last address, as numbers."""


def cidrs(node: Object) -> list[IPv4Network]:
    """The node's parts of the pod network; what can't be read is nobody's."""
    found = []
    for text in spec(node).get("podCIDRs") or [spec(node).get("podCIDR")]:
        try:
            found.append(IPv4Network(text))
        except (ValueError, TypeError):
            continue
    return found


def free_cidr(pool: IPv4Network, length: int, taken: Iterable[IPv4Network]) -> str | None:
    """The first part of that prefix length which overlaps none that is taken; None when there is none left."""
    if length < pool.prefixlen:
        return None
    size = 1 << (32 - length)
    used = sorted((int(each.network_address), int(each.broadcast_address)) for each in taken if each.overlaps(pool))
    start, end = int(pool.network_address), int(pool.broadcast_address)
    for first, last in used:
        if start + size - 1 < first:
            break
        if last >= start:
            start = (last // size + 1) * size
    return str(IPv4Network((start, length))) if start + size - 1 <= end else None


def asks(node: Object) -> bool:
    """Whether the node waits for an address of the LAN."""
    return _annotations(node).get(LAN_ADDRESS) == ""


def addresses(node: Object) -> list[IPv4Address]:
    """Every address that the node has, or was given."""
    texts = [item.get("address") for item in status(node).get("addresses") or () if item.get("type") == "InternalIP"]
    found = []
    for text in (*texts, _annotations(node).get(LAN_ADDRESS)):
        try:
            found.append(IPv4Address(text))
        except (ValueError, TypeError):
            continue
    return found


def _annotations(node: Object) -> dict[str, str]:
    found: dict[str, str] = metadata(node).get("annotations") or {}
    return found


def ranges(text: str) -> list[Range]:
    """`192.168.0.2,192.168.0.10-192.168.0.99` as ranges. Raises ValueError."""
    found = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.append((int(IPv4Address(first)), int(IPv4Address(last or first))))
    return found


def free_address(lan: IPv4Network, reserved: Sequence[Range], nodes: Iterable[IPv4Address]) -> str | None:
    """The next address after the nodes' last one, or else the first, that is nobody's; None when there is none."""
    taken = {int(each) for each in nodes if each in lan}
    first, last = int(lan.network_address) + 1, int(lan.broadcast_address) - 1
    start = max(taken, default=first - 1) + 1
    for low, high in ((start, last), (first, start - 1)):
        if (found := _free(low, high, taken, reserved)) is not None:
            return str(IPv4Address(found))
    return None


def _free(value: int, last: int, taken: set[int], reserved: Sequence[Range]) -> int | None:
    while value <= last:
        covering = next((high for low, high in reserved if low <= value <= high), None)
        if covering is not None:
            value = covering + 1
        elif value in taken:
            value += 1
        else:
            return value
    return None
