"""The pools that addresses come from: the cluster's own, or MetalLB's IPAddressPools once there are any. Pure.

Which of them are announced is what L2Advertisements say: an address that is in none of them is given and not served.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from panal.selectors import from_label_selector

Object = Mapping[str, Any]
OWN = "default"
"""The pool of cluster.yaml."""


@dataclass(frozen=True)
class Pool:
    """A range of addresses, first and last included."""

    first: IPv4Address
    last: IPv4Address

    @classmethod
    def parse(cls, text: str) -> Pool:
        """FIRST-LAST, or a network with all of its addresses. Raises ValueError."""
        if "/" in text:
            network = IPv4Network(text.strip(), strict=False)
            return cls(network[0], network[-1])
        first, dash, last = text.partition("-")
        pool = cls(IPv4Address(first.strip()), IPv4Address((last if dash else first).strip()))
        if pool.first > pool.last:
            raise ValueError(f"{text}: the first address is after the last")
        return pool

    def __contains__(self, address: str) -> bool:
        try:
            return self.first <= IPv4Address(address) <= self.last
        except ValueError:
            return False

    def __len__(self) -> int:
        return int(self.last) - int(self.first) + 1

    def addresses(self) -> Iterable[str]:
        return (str(IPv4Address(number)) for number in range(int(self.first), int(self.last) + 1))

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True)
class AddressPool:
    """One pool with a name. `namespaces` and `services` (selectors) limit who gets its addresses unasked."""

    name: str
    ranges: tuple[Pool, ...]
    auto_assign: bool = True
    avoid_buggy: bool = False
    """Not those that end with 0 or 255."""
    reserved: frozenset[str] = frozenset()
    """Hosts of the LAN: nobody else's."""
    priority: int = 0
    """Of pools that are for this Service only, the lowest number first; 0 comes last (MetalLB)."""
    namespaces: frozenset[str] = frozenset()
    services: tuple[Any, ...] = ()
    announced: bool = True
    nodes: tuple[Any, ...] = ()
    """Selectors of the nodes that take part; none: all of them."""
    key: tuple[str, str] | None = None
    """Namespace and name of the object that says so."""

    def __contains__(self, address: str) -> bool:
        return address not in self.reserved and any(address in item for item in self.ranges)

    def addresses(self) -> Iterable[str]:
        for item in self.ranges:
            for address in item.addresses():
                if address not in self.reserved and not (
                    self.avoid_buggy and address.rpartition(".")[2] in ("0", "255")
                ):
                    yield address

    def is_pinned(self) -> bool:
        return bool(self.namespaces or self.services)

    def is_for(self, service: Object) -> bool:
        """Whether the Service may have its addresses without asking for the pool."""
        metadata = service["metadata"]
        labels = metadata.get("labels") or {}
        return (not self.namespaces or metadata["namespace"] in self.namespaces) and (
            not self.services or any(selector.matches(labels) for selector in self.services)
        )

    def size(self) -> int:
        return sum(len(item) for item in self.ranges)


def pools_of(
    objects: Iterable[Object],
    advertisements: Iterable[Object],
    own: Pool,
    reserved: frozenset[str],
    localize: Any = str,
) -> tuple[list[AddressPool], dict[tuple[str, str], str]]:
    """The pools in the order they are tried, and what is wrong with objects. `localize` is of the network."""
    found: list[AddressPool] = []
    complaints: dict[tuple[str, str], str] = {}
    adverts = list(advertisements)
    for obj in sorted(objects, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"])):
        try:
            found.append(_pool(obj, adverts, reserved, localize))
        except ValueError as error:
            complaints[obj["metadata"]["namespace"], obj["metadata"]["name"]] = str(error)
    if not found and not complaints:
        return [AddressPool(OWN, (own,), reserved=reserved - set(own.addresses()))], {}
    return found, complaints


def _pool(obj: Object, adverts: Sequence[Object], reserved: frozenset[str], localize: Any) -> AddressPool:
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    allocation = spec.get("serviceAllocation") or {}
    if allocation.get("namespaceSelectors"):
        raise ValueError("namespaceSelectors are not followed; name the namespaces")
    covering = [advert for advert in adverts if _covers(advert, obj)]
    selectors = [selector for advert in covering for selector in (advert.get("spec") or {}).get("nodeSelectors") or ()]
    everywhere = any(not (advert.get("spec") or {}).get("nodeSelectors") for advert in covering)
    return AddressPool(
        metadata["name"],
        tuple(_range(text, localize) for text in spec.get("addresses") or ()),
        auto_assign=spec.get("autoAssign", True) is not False,
        avoid_buggy=bool(spec.get("avoidBuggyIPs")),
        reserved=reserved,
        priority=int(allocation.get("priority") or 0),
        namespaces=frozenset(allocation.get("namespaces") or ()),
        services=tuple(from_label_selector(item) for item in allocation.get("serviceSelectors") or ()),
        announced=bool(covering),
        nodes=() if everywhere else tuple(from_label_selector(item) for item in selectors),
        key=(metadata["namespace"], metadata["name"]),
    )


def _range(text: str, localize: Any) -> Pool:
    network, slash, length = text.partition("/")
    parts = [str(localize(part.strip())) for part in network.split("-")]
    return Pool.parse("-".join(parts) + slash + length)


def _covers(advert: Object, pool: Object) -> bool:
    """An advertisement that names no pool is for all of them."""
    spec = advert.get("spec") or {}
    names, selectors = spec.get("ipAddressPools") or (), spec.get("ipAddressPoolSelectors") or ()
    labels = pool["metadata"].get("labels") or {}
    if not names and not selectors:
        return True
    return pool["metadata"]["name"] in names or any(from_label_selector(item).matches(labels) for item in selectors)
