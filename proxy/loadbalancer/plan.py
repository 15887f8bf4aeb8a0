"""Which Service of type LoadBalancer gets which address of the pool, and what is forwarded where. Pure.

The plan is made from the Services alone, so a restarted load balancer comes to the same one: an address that a
Service's status names stays with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from ..forward.balance import Backends, Target
from ..forward.records import Frontend

LOAD_BALANCER_CLASS = "panal.dev/load-balancer"
"""The loadBalancerClass that is ours; so are Services that name none."""
EXCLUDED_NODE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"

Object = Mapping[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True)
class Pool:
    """The addresses to give away, first and last included."""

    first: IPv4Address
    last: IPv4Address

    @classmethod
    def parse(cls, text: str) -> Pool:
        """FIRST-LAST. Raises ValueError."""
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

    def free(self, taken: set[str]) -> str | None:
        """The lowest address that is not taken."""
        for number in range(int(self.first), int(self.last) + 1):
            if (address := str(IPv4Address(number))) not in taken:
                return address
        return None

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def is_ours(service: Object) -> bool:
    """Whether this load balancer serves it."""
    spec = service.get("spec") or {}
    wanted = spec.get("type") == "LoadBalancer" and not service["metadata"].get("deletionTimestamp")
    return wanted and spec.get("loadBalancerClass") in (None, "", LOAD_BALANCER_CLASS)


def ingress_addresses(service: Object) -> list[str]:
    """What its status says."""
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [item["ip"] for item in ingress if item.get("ip")]


@dataclass(frozen=True)
class Assignment:
    addresses: Mapping[Key, str]
    problems: Mapping[Key, str]
    """Why a Service got none, in the words of an event."""


def assign(services: Iterable[Object], pool: Pool) -> Assignment:
    """An address for each of our Services: the one it asks for, else the one it has, else the lowest free one.

    Who has an address keeps it, and older Services choose before younger ones.
    """
    waiting = sorted(services, key=_age)
    addresses: dict[Key, str] = {}
    problems: dict[Key, str] = {}
    for has_one in (True, False):
        for service in [item for item in waiting if _keeps(item, pool) is has_one]:
            key = _key(service)
            taken = set(addresses.values())
            wanted = _wanted(service) or next(iter(ingress_addresses(service)), None)
            if wanted is not None and (wanted in pool or _wanted(service)):
                if wanted not in pool:
                    problems[key] = f"the address {wanted} is not one of {pool}"
                    continue
                if wanted not in taken:
                    addresses[key] = wanted
                    continue
                if _wanted(service):
                    problems[key] = f"the address {wanted} is in use by another Service"
                    continue
            address = pool.free(taken | _requested(waiting))
            if address is None:
                problems[key] = f"no address of {pool} is free"
            else:
                addresses[key] = address
    return Assignment(addresses, problems)


def node_addresses(nodes: Iterable[Object]) -> tuple[str, ...]:
    """The InternalIPs of the nodes that are Ready and want traffic, in order of name."""
    found = []
    for node in sorted(nodes, key=lambda node: str(node["metadata"]["name"])):
        status, labels = node.get("status") or {}, node["metadata"].get("labels") or {}
        ready = any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions") or ())
        if ready and EXCLUDED_NODE_LABEL not in labels:
            internal = [item["address"] for item in status.get("addresses") or () if item["type"] == "InternalIP"]
            found += [address for address in internal if ":" not in address][:1]
    return tuple(found)


def forwards(
    address: str,
    fixed: Mapping[int, int],
    services: Iterable[tuple[str, Object]],
    nodes: tuple[str, ...],
    is_up: Callable[[Target], bool],
    real_port: Callable[[int], int],
    edge: str = "",
) -> dict[Frontend, Backends]:
    """The engine's table. `fixed`: port of `address` -> NodePort; `edge` names sockets that join the first of them.

    `services`: each with its assigned address. Where no node is up, all are tried: the check may be the one that errs.
    """
    found: dict[Frontend, Backends] = {}
    for number, (port, node_port) in enumerate(fixed.items()):
        backends = Backends(_targets(nodes, node_port, "TCP", is_up))
        found[Frontend("TCP", address, real_port(port))] = backends
        if edge and number == 0:
            found[Frontend("TCP", "", port, edge)] = backends
    for own_address, service in services:
        for frontend, backends in _service_forwards(own_address, service, nodes, is_up, real_port):
            found.setdefault(frontend, backends)
    return {frontend: backends for frontend, backends in found.items() if backends.targets}


def _service_forwards(
    address: str,
    service: Object,
    nodes: tuple[str, ...],
    is_up: Callable[[Target], bool],
    real_port: Callable[[int], int],
) -> Iterable[tuple[Frontend, Backends]]:
    spec = service["spec"]
    allowed = tuple(spec.get("loadBalancerSourceRanges") or ())
    affinity = 0
    if spec.get("sessionAffinity") == "ClientIP":
        config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        affinity = int(config.get("timeoutSeconds") or 10800)
    for port in spec.get("ports") or ():
        protocol, node_port = port.get("protocol") or "TCP", int(port.get("nodePort") or 0)
        if node_port and protocol in ("TCP", "UDP"):
            targets = _targets(nodes, node_port, protocol, is_up)
            yield Frontend(protocol, address, real_port(int(port["port"]))), Backends(targets, affinity, allowed)


def _targets(
    nodes: tuple[str, ...], node_port: int, protocol: str, is_up: Callable[[Target], bool]
) -> tuple[Target, ...]:
    every = tuple((node, node_port) for node in nodes)
    if protocol != "TCP":
        return every
    return tuple(target for target in every if is_up(target)) or every


def _keeps(service: Object, pool: Pool) -> bool:
    """Whether it has the address it would get again."""
    have, wanted = ingress_addresses(service), _wanted(service)
    return bool(have) and have[0] in pool and wanted in (None, have[0])


def _requested(services: Iterable[Object]) -> set[str]:
    return {wanted for service in services if (wanted := _wanted(service)) is not None}


def _wanted(service: Object) -> str | None:
    return service["spec"].get("loadBalancerIP") or None


def _age(service: Object) -> tuple[str, Key]:
    return str(service["metadata"].get("creationTimestamp") or ""), _key(service)


def _key(service: Object) -> Key:
    metadata = service["metadata"]
    return metadata["namespace"], metadata["name"]
