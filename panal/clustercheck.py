"""What the fields of a cluster.yaml can't tell one by one: overlaps, duplicates, addresses outside their network. Pure.

`panal.clusterfile` reads the fields, then asks here, and raises the first complaint.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from .config import ClusterConfig

Complaint = tuple[str, str, str]
"""Where in the file, what is wrong, the way out."""

WIDEST = 8
"""Bits of the shortest prefix: `loopback` replaces an address's first octet."""
_UNUSABLE = {
    "0.0.0.0/8": "means no address",
    "127.0.0.0/8": "is every host's own",
    "169.254.0.0/16": "is for one link only",
    "224.0.0.0/3": "is for groups or for nobody",
}


def complaints(config: ClusterConfig) -> Iterator[Complaint]:
    """All of them, the first one first."""
    yield from _networks(config)
    yield from _residents(config)
    yield from _pool(config)
    yield from _service_addresses(config)
    yield from _ports(config)


def _networks(config: ClusterConfig) -> Iterator[Complaint]:
    networks = {"lan": config.lan, "podCIDR": config.pod_cidr, "serviceCIDR": config.service_cidr}
    names = list(networks)
    for index, first in enumerate(names):
        network = IPv4Network(networks[first])
        if network.prefixlen < WIDEST:
            yield f"spec.{first}", f"{network} is too wide", f"choose one of at most /{WIDEST}"
        for taken, why in _UNUSABLE.items():
            own = config.network == "loopback" and taken.startswith("127.")
            if not own and network.overlaps(IPv4Network(taken)):
                yield f"spec.{first}", f"{network} is not for hosts: {taken} {why}", "choose a private one"
        for second in names[index + 1 :]:
            if network.overlaps(IPv4Network(networks[second])):
                reason = f"{networks[second]} overlaps spec.{first} {network}"
                yield f"spec.{second}", reason, "choose networks that don't"


def _residents(config: ClusterConfig) -> Iterator[Complaint]:
    lan, seen = IPv4Network(config.lan), dict[str, str]()
    for path, name, address in residents(config):
        yield from _inside(f"{path}.address", address, lan, "spec.lan")
        for value in (name, address):
            if value in seen:
                yield path, f"{value} is taken by {seen[value]}", "choose another one"
            seen[value] = path


def residents(config: ClusterConfig) -> list[tuple[str, str, str]]:
    """Everybody on the LAN: where it stands in the file, its name, its address."""
    return [
        *((f"spec.nodes[{i}]", node.name, node.address) for i, node in enumerate(config.nodes)),
        *((f"spec.hosts[{i}]", host.name, host.address) for i, host in enumerate(config.hosts)),
        ("spec.loadBalancer", config.load_balancer.name, config.load_balancer.address),
        ("spec.externalDNS", config.external_dns.name, config.external_dns.address),
        *(("spec.forwardProxy", proxy.name, proxy.address) for proxy in (config.forward_proxy,) if proxy is not None),
    ]


def _pool(config: ClusterConfig) -> Iterator[Complaint]:
    """The addresses that Services of type LoadBalancer get: of the LAN, and nobody's yet."""
    path, lan = "spec.loadBalancer.addresses", IPv4Network(config.lan)
    first, last = (IPv4Address(address) for address in config.load_balancer.addresses)
    for end in (first, last):
        yield from _inside(path, str(end), lan, "spec.lan")
    for owner, _, address in residents(config):
        if owner != "spec.loadBalancer" and first <= IPv4Address(address) <= last:
            yield path, f"{first}-{last} holds {address}, the address of {owner}", "choose a range that is free"


def _service_addresses(config: ClusterConfig) -> Iterator[Complaint]:
    services = IPv4Network(config.service_cidr)
    if services.num_addresses < 16:
        yield "spec.serviceCIDR", f"{services} is too small", "choose one of at least 16 addresses"
        return
    taken = {config.kubernetes_service_ip: "the API server"}
    wanted = [("spec.dnsServiceIP", config.dns_service_ip, "spec.dnsServiceIP")]
    if config.ingress.cluster_ip is not None:
        wanted.append(("spec.ingress.clusterIP", config.ingress.cluster_ip, "the ingress controller"))
    for path, address, owner in wanted:
        yield from _inside(path, address, services, "spec.serviceCIDR")
        if address in taken:
            yield path, f"{address} is taken by {taken[address]}", "choose another one"
        taken[address] = owner


def _ports(config: ClusterConfig) -> Iterator[Complaint]:
    low, high = config.node_ports
    if config.ingress.enabled and not low <= config.ingress.node_port <= high:
        reason = f"{config.ingress.node_port} is outside spec.nodePortRange {low}-{high}"
        yield "spec.ingress.nodePort", reason, "choose one inside"
    ports = [frontend.port for frontend in config.load_balancer.frontends]
    for index, port in enumerate(ports):
        if port in ports[:index]:
            yield f"spec.loadBalancer.frontends[{index}].port", f"{port} is there already", "choose another one"


def _inside(path: str, address: str, network: IPv4Network, name: str) -> Iterator[Complaint]:
    found = IPv4Address(address)
    if found not in network:
        yield path, f"{address} is outside {name} {network}", "choose one inside"
    elif found in (network.network_address, network.broadcast_address):
        yield path, f"{address} is {name}'s first or last address, which no host may have", "choose one between them"
