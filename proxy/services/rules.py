"""The kernel's rules for one service port, as nft text; and the frame they hang in.

Pure. Lookups cost the same with one Service and with thousands: verdict maps keyed by address, protocol and port lead
to the port's own chains. What is here, for nft list table ip panal to be readable:

    map service-ips        address . protocol . port -> the chain that picks an endpoint
    map service-nodeports            protocol . port -> the chain for traffic from outside
    map no-endpoints, no-endpoint-nodeports          -> reject (or drop, where only other nodes have endpoints)
    map firewall-ips                                 -> loadBalancerSourceRanges
    set hairpins           address . address         -> pods that reached themselves through a Service

Round robin is `numgen inc`. Established connections are conntrack's and know nothing of these rules.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .table import Endpoint, ServicePort

TABLE = "ip panal"
MASQUERADE_MARK = "0x4000"
"""kube-proxy's own bit."""
_NAME_LIMIT = 120
"""nf_tables allows 127 characters."""

_SERVICE, _NODEPORT = "ipv4_addr . inet_proto . inet_service", "inet_proto . inet_service"
_TO_LOCAL = "fib daddr type local ip daddr != 127.0.0.0/8"

CONTAINERS: Mapping[str, str] = {
    "service-ips": f"map {{ type {_SERVICE} : verdict; }}",
    "service-nodeports": f"map {{ type {_NODEPORT} : verdict; }}",
    "no-endpoints": f"map {{ type {_SERVICE} : verdict; }}",
    "no-endpoint-nodeports": f"map {{ type {_NODEPORT} : verdict; }}",
    "firewall-ips": f"map {{ type {_SERVICE} : verdict; }}",
    "hairpins": "set { type ipv4_addr . ipv4_addr; }",
}

BASE_CHAINS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "mark-for-masquerade": ("", (f"meta mark set meta mark or {MASQUERADE_MARK}",)),
    "refuse": ("", ("meta l4proto tcp reject with tcp reset", "reject")),
    "services": (
        "",
        (
            "ip daddr . meta l4proto . th dport vmap @service-ips",
            f"{_TO_LOCAL} meta l4proto . th dport vmap @service-nodeports",
        ),
    ),
    "no-endpoints-check": (
        "",
        (
            "ip daddr . meta l4proto . th dport vmap @no-endpoints",
            f"{_TO_LOCAL} meta l4proto . th dport vmap @no-endpoint-nodeports",
        ),
    ),
    "firewall-check": ("", ("ip daddr . meta l4proto . th dport vmap @firewall-ips",)),
    "nat-prerouting": ("type nat hook prerouting priority -100;", ("jump services",)),
    "nat-output": ("type nat hook output priority -100;", ("jump services",)),
    "nat-postrouting": (
        "type nat hook postrouting priority 100;",
        (
            f"meta mark and {MASQUERADE_MARK} != 0 meta mark set meta mark xor {MASQUERADE_MARK} masquerade",
            "ct status dnat ip saddr . ip daddr @hairpins masquerade",
        ),
    ),
    "filter-prerouting": ("type filter hook prerouting priority -110;", ("ct state new jump firewall-check",)),
    "filter-input": ("type filter hook input priority 0;", ("ct state new jump no-endpoints-check",)),
    "filter-forward": ("type filter hook forward priority 0;", ("ct state new jump no-endpoints-check",)),
    "filter-output": ("type filter hook output priority 0;", ("ct state new jump no-endpoints-check",)),
}
"""Chain -> (its hook, its rules), callees first."""


class Element(NamedTuple):
    """A key in one of the containers."""

    container: str
    key: str


@dataclass(slots=True)
class Rules:
    """What one service port contributes."""

    sets: dict[str, str] = field(default_factory=dict)
    """name -> definition, which never changes for a name"""
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    elements: dict[Element, str] = field(default_factory=dict)
    """element -> verdict; "" in a set"""


def rules(port: ServicePort, cluster_cidr: str) -> Rules:
    """The chains and elements for this service port on this node."""
    found = Rules()
    chains = _Names(port)
    off_cluster = (f"ip saddr != {cluster_cidr} jump mark-for-masquerade",) if cluster_cidr else ()
    uses_local = port.internal_local or port.external_local
    if port.endpoints:
        found.chains[chains.service] = (*off_cluster, *_dispatch(port, port.endpoints, chains, found))
    if uses_local and port.local_endpoints:
        found.chains[chains.local] = tuple(_dispatch(port, port.local_endpoints, chains, found))
    _internal(port, chains, found)
    _external(port, chains, cluster_cidr, found)
    _firewall(port, chains, found)
    for endpoint in port.endpoints:
        if endpoint.local:
            found.elements[Element("hairpins", f"{endpoint.ip} . {endpoint.ip}")] = ""
    return found


def _internal(port: ServicePort, chains: _Names, found: Rules) -> None:
    target = chains.local if port.internal_local else chains.service
    for ip in port.cluster_ips:
        if port.internal_endpoints:
            found.elements[Element("service-ips", _key(port, ip))] = f"goto {target}"
        else:
            found.elements[Element("no-endpoints", _key(port, ip))] = _refusal(port)


def _external(port: ServicePort, chains: _Names, cluster_cidr: str, found: Rules) -> None:
    """NodePort, load balancer and external addresses: masqueraded, unless the policy keeps the client's address."""
    if not (port.node_port or port.outside_ips):
        return
    if not port.endpoints:
        container, node_container, verdict = "no-endpoints", "no-endpoint-nodeports", _refusal(port)
    else:
        container, node_container, verdict = "service-ips", "service-nodeports", f"goto {chains.external}"
        found.chains[chains.external] = tuple(_from_outside(port, chains, cluster_cidr))
        if not port.external_endpoints:
            for element in _outside_elements(port, "no-endpoints", "no-endpoint-nodeports"):
                found.elements[element] = _refusal(port)
    for element in _outside_elements(port, container, node_container):
        found.elements[element] = verdict


def _outside_elements(port: ServicePort, container: str, node_container: str) -> Iterator[Element]:
    for ip in port.outside_ips:
        yield Element(container, _key(port, ip))
    if port.node_port:
        yield Element(node_container, f"{port.protocol.lower()} . {port.node_port}")


def _from_outside(port: ServicePort, chains: _Names, cluster_cidr: str) -> Iterator[str]:
    if not port.external_local:
        yield "jump mark-for-masquerade"
        yield f"goto {chains.service}"
        return
    if cluster_cidr:
        yield f"ip saddr {cluster_cidr} goto {chains.service}"
    yield "fib saddr type local jump mark-for-masquerade"
    yield f"fib saddr type local goto {chains.service}"
    if port.local_endpoints:
        yield f"goto {chains.local}"


def _firewall(port: ServicePort, chains: _Names, found: Rules) -> None:
    if not (port.source_ranges and port.load_balancer_ips):
        return
    ranges = [item for item in port.source_ranges if item != "0.0.0.0/0"]
    if len(ranges) < len(port.source_ranges):
        return
    found.chains[chains.firewall] = (f"ip saddr {{ {', '.join(_disjoint(ranges))} }} return", "drop")
    for ip in port.load_balancer_ips:
        found.elements[Element("firewall-ips", _key(port, ip))] = f"goto {chains.firewall}"


def _dispatch(port: ServicePort, endpoints: tuple[Endpoint, ...], chains: _Names, found: Rules) -> Iterator[str]:
    """Pick an endpoint: in turn, or the one that this client had."""
    match = f"meta l4proto {port.protocol.lower()}"
    if port.affinity_seconds:
        names = [chains.endpoint(endpoint) for endpoint in endpoints]
        for endpoint, name in zip(endpoints, names, strict=True):
            found.sets[name] = "{ type ipv4_addr; flags dynamic, timeout; }"
            remember = f"update @{name} {{ ip saddr timeout {port.affinity_seconds}s }}"
            found.chains[name] = (remember, f"{match} dnat to {endpoint}")
            yield f"ip saddr @{name} goto {name}"
        if len(names) == 1:
            yield f"goto {names[0]}"
        else:
            choices = ", ".join(f"{number} : goto {name}" for number, name in enumerate(names))
            yield f"numgen inc mod {len(names)} vmap {{ {choices} }}"
    elif len(endpoints) == 1:
        yield f"{match} dnat to {endpoints[0]}"
    else:
        choices = ", ".join(f"{number} : {item.ip} . {item.port}" for number, item in enumerate(endpoints))
        yield f"{match} dnat ip addr . port to numgen inc mod {len(endpoints)} map {{ {choices} }}"


def _refusal(port: ServicePort) -> str:
    """Nobody has an endpoint: refused. Others have, but the policy is Local: dropped, as kube-proxy does."""
    return "drop" if port.endpoints else "goto refuse"


def _key(port: ServicePort, ip: str) -> str:
    return f"{ip} . {port.protocol.lower()} . {port.port}"


class _Names:
    """Chain names: readable, and unique by a hash of the port's whole name."""

    def __init__(self, port: ServicePort) -> None:
        name = port.name
        digest = hashlib.sha256("/".join(name).encode()).hexdigest()[:8]
        path = f"{name.namespace}/{name.service}/{name.protocol.lower()}/{name.port}"
        self._rest = f"{digest}-{_text(path).rstrip('/')}"

    def _named(self, kind: str, suffix: str = "") -> str:
        room = _NAME_LIMIT - len(kind) - len(suffix) - 1
        return f"{kind}-{self._rest[:room]}{suffix}"

    @property
    def service(self) -> str:
        return self._named("service")

    @property
    def local(self) -> str:
        return self._named("local")

    @property
    def external(self) -> str:
        return self._named("external")

    @property
    def firewall(self) -> str:
        return self._named("firewall")

    def endpoint(self, endpoint: Endpoint) -> str:
        return self._named("endpoint", f"__{endpoint.ip}/{endpoint.port}")


def _text(text: str) -> str:
    """Only what may stand in an nft name or comment."""
    return re.sub(r"[^A-Za-z0-9_./:-]", "_", text)


def _disjoint(ranges: list[str]) -> list[str]:
    """The CIDRs merged: nft refuses intervals that overlap."""
    return [str(item) for item in ipaddress.collapse_addresses(map(ipaddress.IPv4Network, ranges))]
