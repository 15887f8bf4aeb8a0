"""The kernel's rules for one service port, as nft text; and the frame they hang in.

Pure. Lookups cost the same with one Service and with thousands, and a change costs the same among thousands: most
Services are elements only, for a chain more makes every change of chains dearer. What is here, for nft list table ip
panal to be readable:

    map service-spreads    address . protocol . port -> a mark that says how many endpoints there are
    map spreads                                 mark -> the chain that counts round so many, which many Services share
    map service-endpoints-tcp, -udp    address . port . number -> the endpoint
    map nodeport-spreads, nodeport-endpoints-tcp, -udp          the same without addresses, for traffic from outside
    map service-ips        address . protocol . port -> a chain of its own: session affinity, policy Local
    map service-nodeports            protocol . port -> likewise, for traffic from outside
    map no-endpoints, no-endpoint-nodeports          -> reject (or drop, where only other nodes have endpoints)
    map firewall-ips                                 -> loadBalancerSourceRanges
    set hairpins           address . address         -> pods that reached themselves through a Service

Round robin is `numgen inc`: a counter for each number of endpoints and each of so many buckets of Services, so that two
Services hardly ever share one and take each other's turn. Established connections are conntrack's and know nothing of
these rules.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .table import Endpoint, ServicePort

TABLE = "ip panal"
MASQUERADE_MARK = "0x4000"
"""kube-proxy's own bit."""
_NAME_LIMIT = 120
"""nf_tables allows 127 characters."""

_BUCKETS = 256
"""Of Services with equally many endpoints: those of one bucket share a counter."""
_MASQUERADE, _FROM_NODEPORT, _UDP = 0x4000, 0x8000, 0x2000
"""Bits of a spread's mark, above the bucket and below the number of endpoints."""
_MOST = 0xFFFF
"""Endpoints that a spread's mark can say."""

_SERVICE, _NODEPORT = "ipv4_addr . inet_proto . inet_service", "inet_proto . inet_service"
_SPREAD = f"meta mark and {0xFFFFFFFF ^ _MASQUERADE:#x} vmap @spreads"
_TO_LOCAL = "fib daddr type local ip daddr != 127.0.0.0/8"


def _numbered(kind: str, protocol: str, number: int) -> str:
    """The key of an endpoint: nft takes the protocol of a port that it hands on for that of the packet."""
    return f"{'ip daddr . ' if kind == 'service' else ''}{protocol} dport . numgen inc mod {number}"


CONTAINERS: Mapping[str, str] = {
    "spreads": "map { type mark : verdict; }",
    "service-spreads": f"map {{ type {_SERVICE} : mark; }}",
    "nodeport-spreads": f"map {{ type {_NODEPORT} : mark; }}",
    **{
        f"{kind}-endpoints-{protocol}": (
            f"map {{ typeof {_numbered(kind, protocol, 2)} : ip daddr . {protocol} dport; }}"
        )
        for kind in ("service", "nodeport")
        for protocol in ("tcp", "udp")
    },
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
            f"meta mark set ip daddr . meta l4proto . th dport map @service-spreads {_SPREAD}",
            "ip daddr . meta l4proto . th dport vmap @service-ips",
            f"{_TO_LOCAL} meta mark set meta l4proto . th dport map @nodeport-spreads {_SPREAD}",
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


class Spread(NamedTuple):
    """A chain that counts round so many endpoints, for all Services of a bucket."""

    number: int
    bucket: int
    kind: str
    """`service` or `nodeport`."""
    protocol: str

    @property
    def name(self) -> str:
        return f"spread-{self.kind}-{self.protocol}-{self.number}-{self.bucket}"

    @property
    def mark(self) -> int:
        flags = (_FROM_NODEPORT if self.kind == "nodeport" else 0) | (_UDP if self.protocol == "udp" else 0)
        return self.number << 16 | flags | self.bucket

    @property
    def element(self) -> str:
        """In the map `spreads`."""
        return f"{self.mark:#010x} : goto {self.name}"

    def rules(self, cluster_cidr: str) -> tuple[str, ...]:
        """Of the mark only the bit for masquerading is left."""
        off_cluster = f"ip saddr != {cluster_cidr} jump mark-for-masquerade"
        key = _numbered(self.kind, self.protocol, self.number)
        return (
            f"meta mark set meta mark and {MASQUERADE_MARK}",
            *((off_cluster,) if cluster_cidr and self.kind == "service" else ()),
            f"dnat ip addr . port to {key} map @{self.kind}-endpoints-{self.protocol}",
        )


@dataclass(slots=True)
class Rules:
    """What one service port contributes."""

    spreads: set[Spread] = field(default_factory=set)
    """Chains that others may need, too."""

    sets: dict[str, str] = field(default_factory=dict)
    """name -> definition, which never changes for a name"""
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    elements: dict[Element, str] = field(default_factory=dict)
    """element -> what it leads to; "" in a set"""


def rules(port: ServicePort, cluster_cidr: str) -> Rules:
    """The chains and elements for this service port on this node."""
    found = Rules()
    _hairpins(port, found)
    if is_spread(port):
        _spread_out(port, found)
        _firewall(port, _Names(port), found)
        return found
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
    return found


def _hairpins(port: ServicePort, found: Rules) -> None:
    for endpoint in port.endpoints:
        if endpoint.local:
            found.elements[Element("hairpins", f"{endpoint.ip} . {endpoint.ip}")] = ""


def is_spread(port: ServicePort) -> bool:
    """Whether it needs no chain of its own."""
    outside = bool(port.node_port or port.outside_ips)
    return not (port.affinity_seconds or (port.external_local and outside) or len(port.endpoints) > _MOST)


def _spread_out(port: ServicePort, found: Rules) -> None:
    for ip in port.cluster_ips:
        _frontend(port, ip, port.internal_endpoints, found, 0)
    for ip in port.outside_ips:
        _frontend(port, ip, port.endpoints, found, _MASQUERADE)
    if port.node_port:
        _frontend(port, "", port.endpoints, found, _MASQUERADE)


def _frontend(port: ServicePort, ip: str, endpoints: tuple[Endpoint, ...], found: Rules, masquerade: int) -> None:
    """One address of a Service, or its NodePort, and the endpoints behind it."""
    protocol = port.protocol.lower()
    kind, number = ("service", port.port) if ip else ("nodeport", port.node_port)
    address = f"{ip} . " if ip else ""
    key = f"{address}{protocol} . {number}"
    if not endpoints:
        found.elements[Element("no-endpoints" if ip else "no-endpoint-nodeports", key)] = _refusal(port)
        return
    bucket = zlib.crc32("/".join(port.name).encode()) % _BUCKETS if len(endpoints) > 1 else 0
    spread = Spread(len(endpoints), bucket, kind, protocol)
    found.spreads.add(spread)
    found.elements[Element(f"{kind}-spreads", key)] = f"{spread.mark | masquerade:#010x}"
    for index, endpoint in enumerate(endpoints):
        place = Element(f"{kind}-endpoints-{protocol}", f"{address}{number} . {index}")
        found.elements[place] = f"{endpoint.ip} . {endpoint.port}"


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
