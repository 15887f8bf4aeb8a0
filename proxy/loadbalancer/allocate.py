"""Which Service of type LoadBalancer gets which address of which pool, by MetalLB's rules and in its words. Pure.

Made from Services and pools alone, so a restarted load balancer comes to the same: an address that a Service's status
names stays with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from .pools import AddressPool

LOAD_BALANCER_CLASS = "panal.dev/load-balancer"
"""The loadBalancerClass that is ours; so are Services that name none."""
PREFIXES = ("metallb.io/", "metallb.universe.tf/")
ADDRESSES, POOL, SHARED = "loadBalancerIPs", "address-pool", "allow-shared-ip"
FROM_POOL = "metallb.io/ip-allocated-from-pool"

Object = Mapping[str, Any]
Key = tuple[str, str]


def is_ours(service: Object) -> bool:
    """Whether this load balancer serves it."""
    spec = service.get("spec") or {}
    wanted = spec.get("type") == "LoadBalancer" and not service["metadata"].get("deletionTimestamp")
    return wanted and spec.get("loadBalancerClass") in (None, "", LOAD_BALANCER_CLASS)


def ingress_addresses(service: Object) -> list[str]:
    """What its status says."""
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [item["ip"] for item in ingress if item.get("ip")]


class Refused(ValueError):
    """Why a Service gets no address."""


@dataclass(frozen=True)
class Assignment:
    addresses: Mapping[Key, str]
    problems: Mapping[Key, str]
    """Why a Service got none."""
    pools: Mapping[Key, AddressPool] = field(default_factory=dict)

    def in_use(self, pool: AddressPool) -> int:
        """How many addresses of the pool are somebody's."""
        return len({self.addresses[key] for key, found in self.pools.items() if found == pool})


def assign(
    services: Iterable[Object], pools: Sequence[AddressPool], localize: Callable[[str], str] = str
) -> Assignment:
    """An address for each of our Services: the one it asks for, else the one it has, else a free one.

    Who has an address keeps it, and older Services choose before younger ones. `localize` turns an address that is
    asked for into the network's.
    """
    waiting = sorted(services, key=_age)
    asked = {_key(service): _asked_quietly(service, localize) for service in waiting}
    making = _Making(pools, frozenset(address for found in asked.values() for address in found), localize)
    for has_one in (True, False):
        for service in waiting:
            if _keeps(service, asked[_key(service)], pools) is has_one:
                making.add(service)
    return Assignment(making.addresses, making.problems, making.pools)


class _Making:
    """An assignment half-way."""

    def __init__(self, pools: Sequence[AddressPool], asked: frozenset[str], localize: Callable[[str], str]) -> None:
        self._all = pools
        self._localize = localize
        self._asked = asked
        self._holders: dict[str, list[Object]] = {}
        self.addresses: dict[Key, str] = {}
        self.problems: dict[Key, str] = {}
        self.pools: dict[Key, AddressPool] = {}

    def add(self, service: Object) -> None:
        key = _key(service)
        try:
            address, pool = self._choose(service)
        except Refused as error:
            self.problems[key] = str(error)
            return
        self.addresses[key], self.pools[key] = address, pool
        self._holders.setdefault(address, []).append(service)

    def _choose(self, service: Object) -> tuple[str, AddressPool]:
        wanted, named = asked_address(service, self._localize), annotation(service, POOL)
        if wanted is not None:
            pool = next((pool for pool in self._all if wanted in pool), None)
            if pool is None:
                raise Refused(f'"{wanted}" is not allowed in config')
            if not self._is_free(wanted, service):
                holders = ",".join(sorted("/".join(_key(item)) for item in self._holders[wanted]))
                name = "/".join(_key(service))
                raise Refused(f'can\'t change sharing key for "{name}", address also in use by {holders}')
            return wanted, pool
        pools = self._candidates(service, named)
        for have in ingress_addresses(service)[:1]:
            pool = next((pool for pool in (pools if named else self._all) if have in pool), None)
            if pool is not None and self._is_free(have, service):
                return have, pool
        for pool in pools:
            if (address := self._first_free(pool, service)) is not None:
                return address, pool
        raise Refused(f'no available IPs in pool "{named}" for ipv4 IPFamily' if named else "no available IPs")

    def _candidates(self, service: Object, named: str) -> list[AddressPool]:
        if named:
            found = [pool for pool in self._all if pool.name == named]
            if not found:
                raise Refused(f'unknown pool "{named}"')
            return found
        mine = [pool for pool in self._all if pool.auto_assign and pool.is_for(service)]
        return sorted(mine, key=lambda pool: (not pool.is_pinned(), pool.priority or 1 << 31))

    def _first_free(self, pool: AddressPool, service: Object) -> str | None:
        key = annotation(service, SHARED)
        shared = [address for address, found in self._holders.items() if key and annotation(found[0], SHARED) == key]
        for address in shared:
            if address in pool and self._is_free(address, service):
                return address
        for address in pool.addresses():
            if address not in self._holders and address not in self._asked:
                return address
        return None

    def _is_free(self, address: str, service: Object) -> bool:
        """Nobody has it, or those who have it share it, and none of their ports is asked for."""
        key = annotation(service, SHARED)
        return all(
            key and annotation(holder, SHARED) == key and not _ports(holder) & _ports(service)
            for holder in self._holders.get(address, ())
        )


def annotation(service: Object, name: str) -> str:
    """MetalLB's annotation of that name, under its present or its old prefix."""
    annotations = service["metadata"].get("annotations") or {}
    return str(next((annotations[prefix + name] for prefix in PREFIXES if annotations.get(prefix + name)), ""))


def asked_address(service: Object, localize: Callable[[str], str] = str) -> str | None:
    """The address a Service asks for. Raises Refused."""
    noted, field_ = annotation(service, ADDRESSES), str(service["spec"].get("loadBalancerIP") or "")
    if noted and field_:
        raise Refused(f"service can not have both {PREFIXES[0]}{ADDRESSES} and svc.Spec.LoadBalancerIP")
    wanted = noted or field_
    try:
        return localize(str(IPv4Address(wanted.strip()))) if wanted else None
    except ValueError:
        what = f"{PREFIXES[0]}{ADDRESSES}:" if noted else "spec.loadBalancerIP"
        raise Refused(f'invalid {what} "{wanted}"') from None


def _asked_quietly(service: Object, localize: Callable[[str], str]) -> list[str]:
    try:
        wanted = asked_address(service, localize)
    except Refused:
        return []
    return [wanted] if wanted else []


def _keeps(service: Object, wanted: list[str], pools: Sequence[AddressPool]) -> bool:
    """Whether it has the address it would get again."""
    have = ingress_addresses(service)
    return bool(have) and any(have[0] in pool for pool in pools) and wanted in ([], have[:1])


def _ports(service: Object) -> set[tuple[str, int]]:
    return {(port.get("protocol") or "TCP", int(port["port"])) for port in service["spec"].get("ports") or ()}


def _age(service: Object) -> tuple[str, Key]:
    return str(service["metadata"].get("creationTimestamp") or ""), _key(service)


def _key(service: Object) -> Key:
    metadata = service["metadata"]
    return metadata["namespace"], metadata["name"]
