"""ClusterIPs and node ports: which a Service gets, purely from what is in use.

As in Kubernetes, addresses and ports that nobody chose come from the upper band of their range, so that the lower one
stays free for those that people write into manifests (KEP-3070, KEP-3668).
"""

from __future__ import annotations

import ipaddress
import itertools
import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from panal.errors import StatusError

from .fielderrors import FieldError, Shown

Spec = dict[str, Any]
PortKey = tuple[str, int]
"""(protocol, node port): TCP and UDP are numbered apart."""

_ALLOCATED_IP = "provided IP is already allocated"
_ALLOCATED_PORT = "provided port is already allocated"
_RANDOM_TRIES = 32
_DRY_RUN_PORT = 32769
"""The first of the ports that a dry run shows; none of them is given out."""


@dataclass(frozen=True)
class Ranges:
    """What the cluster may give out."""

    services: ipaddress.IPv4Network
    node_ports: tuple[int, int]


@dataclass(frozen=True)
class InUse:
    """What other Services have."""

    addresses: Collection[str]
    node_ports: Collection[PortKey]


def in_use(services: Iterable[dict[str, Any]], except_for: tuple[str, str]) -> InUse:
    """What all Services but the one called `except_for` (namespace, name) hold."""
    addresses: set[str] = set()
    ports: set[PortKey] = set()
    for service in services:
        meta, spec = service["metadata"], service.get("spec", {})
        if (meta.get("namespace", ""), meta["name"]) == except_for:
            continue
        addresses.update(spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else []))
        ports |= {
            (port.get("protocol", "TCP"), port["nodePort"]) for port in spec.get("ports") or () if port.get("nodePort")
        }
        if spec.get("healthCheckNodePort"):
            ports.add(("TCP", spec["healthCheckNodePort"]))
    addresses.discard("None")
    return InUse(addresses, ports)


def allocate(spec: Spec, old: Spec | None, used: InUse, ranges: Ranges, rng: random.Random) -> list[FieldError]:
    """Give the Service what its type asks for, changing `spec`; what cannot be had is an error."""
    errors = _address(spec, old, used, ranges, rng) + _node_ports(spec, used, ranges, rng)
    if not errors:
        _health_check_port(spec, old, used, ranges, rng)
    return errors


def dry_run(spec: Spec, old: Spec | None, ranges: Ranges) -> list[FieldError]:
    """What a write that is not stored shows instead: as in Kubernetes, the range's first address and ports above it."""
    if spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
        wanted = spec.get("clusterIP") or ""
        if not wanted:
            spec["clusterIP"] = str(ranges.services.network_address)
            spec["clusterIPs"] = [spec["clusterIP"]]
        elif errors := _address(spec, old, InUse((), ()), ranges, random.Random(0)):
            return errors
    if spec.get("type") in ("NodePort", "LoadBalancer"):
        unused = itertools.count(_DRY_RUN_PORT)
        if spec["type"] == "NodePort" or spec.get("allocateLoadBalancerNodePorts", True):
            for port in spec.get("ports") or ():
                if not port.get("nodePort"):
                    port["nodePort"] = next(unused)
        if _checks_health(spec) and not spec.get("healthCheckNodePort"):
            spec["healthCheckNodePort"] = next(unused)
    return []


def _checks_health(spec: Spec) -> bool:
    """Whether load balancers ask nodes for the Service's local endpoints."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _health_check_port(spec: Spec, old: Spec | None, used: InUse, ranges: Ranges, rng: random.Random) -> None:
    """Raises StatusError (500, as Kubernetes does) for a port that cannot be had."""
    if not _checks_health(spec) or (old is not None and _checks_health(old) and spec.get("healthCheckNodePort")):
        return
    own = {(port.get("protocol", "TCP"), port.get("nodePort")) for port in spec.get("ports") or ()}
    taken = {*used.node_ports, *own}
    if wanted := spec.get("healthCheckNodePort"):
        if problem := _refused_port(("TCP", wanted), taken, ranges.node_ports):
            why = f"failed to allocate requested HealthCheck NodePort {wanted}: {problem}"
            raise StatusError(f"Internal error occurred: {why}")
        return
    found = _free_port({}, (), taken, ranges.node_ports, rng)
    if found is None:
        raise StatusError("Internal error occurred: failed to allocate a HealthCheck NodePort 0: range is full")
    spec["healthCheckNodePort"] = found


def _address(spec: Spec, old: Spec | None, used: InUse, ranges: Ranges, rng: random.Random) -> list[FieldError]:
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None":
        return []
    wanted = spec.get("clusterIP") or ""
    if not wanted:
        found = _free_address(used.addresses, ranges.services, rng)
        if found is None:
            why = "failed to allocate a serviceIP: range is full"
            return [FieldError("InternalError", "spec.clusterIPs", detail=why)]
        spec["clusterIP"], spec["clusterIPs"] = found, [found]
        return []
    spec.setdefault("clusterIPs", [wanted])
    if old is not None and old.get("clusterIP") == wanted:
        return []
    if problem := _refused_address(wanted, used.addresses, ranges.services):
        shown = Shown("[" + ", ".join(f'"{each}"' for each in spec["clusterIPs"]) + "]")
        return [FieldError("Invalid", "spec.clusterIPs", shown, f"failed to allocate IP {wanted}: {problem}")]
    return []


def _refused_address(wanted: str, used: Collection[str], services: ipaddress.IPv4Network) -> str:
    try:
        address = ipaddress.IPv4Address(wanted)
    except ValueError:
        return ""  # validation says so already
    last = services.broadcast_address
    if address not in services or address in (services.network_address, last):
        return f"the provided IP ({wanted}) is not in the valid range. The range of valid IPs is {services}"
    return _ALLOCATED_IP if wanted in used else ""


def _free_address(used: Collection[str], services: ipaddress.IPv4Network, rng: random.Random) -> str | None:
    size = services.num_addresses
    first, last = 1, size - 2
    band = min(max(16, size // 16), 256)
    found: str | None = _pick(first, last, first + band, rng, lambda offset: str(services[offset]), used)
    return found


def _pick(first: int, last: int, dynamic: int, rng: random.Random, name: Any, used: Collection[Any]) -> Any:
    """A free one: at random from the upper band, else the first free there, else the first free below."""
    start = dynamic if dynamic <= last else first
    if start <= last:
        for _ in range(_RANDOM_TRIES):
            if (found := name(rng.randint(start, last))) not in used:
                return found
        for offset in (*range(start, last + 1), *range(first, start)):
            if (found := name(offset)) not in used:
                return found
    return None


def _node_ports(spec: Spec, used: InUse, ranges: Ranges, rng: random.Random) -> list[FieldError]:
    kind = spec.get("type")
    if kind not in ("NodePort", "LoadBalancer"):
        return []
    automatic = kind == "NodePort" or spec.get("allocateLoadBalancerNodePorts", True)
    taken: set[PortKey] = set(used.node_ports)
    errors: list[FieldError] = []
    ports: list[Spec] = spec.get("ports") or []
    for index, port in enumerate(ports):
        if number := port.get("nodePort"):
            key = (port.get("protocol", "TCP"), number)
            if problem := _refused_port(key, taken, ranges.node_ports):
                errors.append(FieldError("Invalid", f"spec.ports[{index}].nodePort", number, problem))
            taken.add(key)
    if errors:
        return errors
    for index, port in enumerate(ports):
        if port.get("nodePort") or not automatic:
            continue
        found = _free_port(port, ports, taken, ranges.node_ports, rng)
        if found is None:
            why = "failed to allocate a nodePort: range is full"
            return [FieldError("InternalError", f"spec.ports[{index}].nodePort", detail=why)]
        port["nodePort"] = found
        taken.add((port.get("protocol", "TCP"), found))
    return []


def _refused_port(key: PortKey, taken: Collection[PortKey], node_ports: tuple[int, int]) -> str:
    first, last = node_ports
    if not first <= key[1] <= last:
        return f"provided port is not in the valid range. The range of valid ports is {first}-{last}"
    return _ALLOCATED_PORT if key in taken else ""


def _free_port(
    port: Spec, ports: Iterable[Spec], taken: Collection[PortKey], node_ports: tuple[int, int], rng: random.Random
) -> int | None:
    """The number that the same port has for the other protocol, if it is free; else a free one."""
    protocol = port.get("protocol", "TCP")
    for other in ports:
        number = other.get("nodePort")
        if number and other.get("port") == port.get("port") and (protocol, number) not in taken:
            return int(number)
    first, last = node_ports
    size = last - first + 1
    dynamic = first + (min(max(16, size // 32), 128) if size > 16 else 0)
    found = _pick(first, last, dynamic, rng, lambda number: (protocol, number), taken)
    return None if found is None else int(found[1])
