"""A ServiceTable as people and programs read it: the lines of the architecture's picture, and JSON.

10.10.1.102:8080     (wp-service)  -> 10.10.0.5:80 | 10.10.0.70:80   (round robin)
192.168.0.101:30880  (nginx)       -> 10.10.0.9:80
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .table import Endpoint, PortName, ServicePort, ServiceTable


class _Row(NamedTuple):
    address: str
    label: str
    endpoints: tuple[Endpoint, ...]
    how: str


def lines(table: ServiceTable) -> list[str]:
    """One line a frontend, aligned: ClusterIPs by address, then the addresses outside, then NodePorts."""
    ports = sorted(table, key=_by_address)
    rows = [*_cluster_rows(ports), *_outside_rows(ports), *_node_rows(ports, table.node_ips)]
    address = max((len(row.address) for row in rows), default=0)
    label = max((len(row.label) for row in rows), default=0)
    return [
        f"{row.address:<{address}}  {row.label:<{label}}  -> {_targets(row.endpoints)}{row.how}".rstrip()
        for row in rows
    ]


def document(table: ServiceTable, mode: str) -> dict[str, Any]:
    """What kube-proxy answers on its table socket."""
    return {
        "mode": mode,
        "node": table.node,
        "lines": lines(table),
        "services": [_service(port) for port in sorted(table, key=_by_address)],
    }


def _cluster_rows(ports: Sequence[ServicePort]) -> Iterator[_Row]:
    labels = _labels(ports)
    for port in ports:
        for ip in port.cluster_ips:
            yield _row(ip, port.port, port, labels[port.name], port.internal_endpoints)


def _outside_rows(ports: Sequence[ServicePort]) -> Iterator[_Row]:
    labels = _labels(ports)
    for port in ports:
        for ip in port.outside_ips:
            yield _row(ip, port.port, port, labels[port.name], port.external_endpoints)


def _node_rows(ports: Sequence[ServicePort], node_ips: Sequence[str]) -> Iterator[_Row]:
    labels = _labels(ports)
    for port in sorted((port for port in ports if port.node_port), key=lambda port: port.node_port):
        for ip in node_ips or ("<node>",):
            yield _row(ip, port.node_port, port, labels[port.name], port.external_endpoints)


def _row(ip: str, number: int, port: ServicePort, label: str, endpoints: tuple[Endpoint, ...]) -> _Row:
    protocol = "" if port.protocol == "TCP" else f"/{port.protocol.lower()}"
    how = ""
    if len(endpoints) > 1:
        how = f"   (by client, {port.affinity_seconds} s)" if port.affinity_seconds else "   (round robin)"
    return _Row(f"{ip}:{number}{protocol}", label, endpoints, how)


def _targets(endpoints: tuple[Endpoint, ...]) -> str:
    return " | ".join(map(str, endpoints)) or "(no endpoints)"


def _labels(ports: Sequence[ServicePort]) -> dict[PortName, str]:
    """`(service)`, as short as it is unambiguous.

    The namespace is shown where two Services share a name, the port's name where one Service has several ports.
    """
    homes = Counter(name for name, _ in {(port.name.service, port.name.namespace) for port in ports})
    several = Counter((port.name.namespace, port.name.service) for port in ports)
    labels = {}
    for port in ports:
        name = port.name
        service = name.service if homes[name.service] == 1 else f"{name.namespace}/{name.service}"
        alone = several[name.namespace, name.service] == 1 or not name.port
        labels[name] = f"({service})" if alone else f"({service}, {name.port})"
    return labels


def _by_address(port: ServicePort) -> tuple[tuple[int, ...], int, str]:
    return tuple(int(octet) for octet in port.cluster_ips[0].split(".")), port.port, port.protocol


def _service(port: ServicePort) -> dict[str, Any]:
    return {
        "namespace": port.name.namespace,
        "service": port.name.service,
        "portName": port.name.port,
        "protocol": port.protocol,
        "clusterIPs": list(port.cluster_ips),
        "port": port.port,
        "nodePort": port.node_port or None,
        "loadBalancerIPs": list(port.load_balancer_ips),
        "externalIPs": list(port.external_ips),
        "sessionAffinitySeconds": port.affinity_seconds or None,
        "internalTrafficPolicy": "Local" if port.internal_local else "Cluster",
        "externalTrafficPolicy": "Local" if port.external_local else "Cluster",
        "endpoints": [{"ip": item.ip, "port": item.port, "local": item.local} for item in port.endpoints],
    }
