"""A ServiceTable as the forwarding engine's table: which addresses to listen on, and where they lead. Pure.

In the `loopback` network all nodes share one network: a NodePort belongs to the node's own address there, and load
balancer addresses are the load balancer's. In a namespace of its own a node listens for NodePorts on every address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..forward.balance import Backends
from ..forward.records import Frontend
from .table import Endpoint, ServicePort, ServiceTable

PortMap = Callable[[int], int]
"""The port to bind or connect to for a port: `panal.addresses.real_port`."""


def forwards(table: ServiceTable, *, loopback: bool, real_port: PortMap) -> dict[Frontend, Backends]:
    """The engine's table. Where two Services want the same address and port, the first by name has it.

    What has no usable endpoint is not listened on: the kernel refuses it.
    """
    found: dict[Frontend, Backends] = {}
    for port in sorted(table, key=lambda port: port.name):
        everyone = (*port.endpoints, *port.local_endpoints, *port.others)
        for frontend, endpoints in _frontends(port, table, loopback, real_port):
            targets = tuple((item.ip, real_port(item.port)) for item in endpoints)
            leaving = [(item.ip, real_port(item.port)) for item in everyone if item not in endpoints]
            if (targets or leaving) and (frontend not in found or not found[frontend].targets):
                found[frontend] = Backends(targets, port.affinity_seconds, leaving=tuple(dict.fromkeys(leaving)))
    return found


def own_addresses(table: ServiceTable) -> set[str]:
    """The addresses that must be the node's for its processes and pods to reach Services."""
    return {ip for port in table for ip in (*port.cluster_ips, *_external_ips(port, table))}


def _frontends(
    port: ServicePort, table: ServiceTable, loopback: bool, real_port: PortMap
) -> Iterator[tuple[Frontend, tuple[Endpoint, ...]]]:
    number = real_port(port.port)
    for ip in port.cluster_ips:
        yield Frontend(port.protocol, ip, number), port.internal_endpoints
    for ip in _external_ips(port, table) if not loopback else ():
        yield Frontend(port.protocol, ip, number), port.external_endpoints
    if port.node_port:
        for ip in table.node_ips if loopback else ("0.0.0.0",):
            yield Frontend(port.protocol, ip, port.node_port), port.external_endpoints


def _external_ips(port: ServicePort, table: ServiceTable) -> tuple[str, ...]:
    """Load balancer addresses are left to the load balancer: a node that had them would answer for them on the LAN."""
    return tuple(ip for ip in port.external_ips if ip not in port.load_balancer_ips)
