"""A ServiceTable as people and programs read it: the lines of the architecture's picture, and JSON.

10.10.1.102:8080     (wp-service)  -> 10.10.0.5:80 | 10.10.0.70:80   (round robin)
192.168.0.101:30880  (nginx)       -> 10.10.0.9:80

and what leads from one table to the next, a line a change:

+ 10.10.1.102:8080  (wp-service)  -> 10.10.0.71:80
- 10.10.1.102:8080  (wp-service)  -> 10.10.0.5:80
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .table import Endpoint, PortName, ServicePort, ServiceTable, changes


class _Row(NamedTuple):
    address: str
    label: str
    endpoints: tuple[Endpoint, ...]
    how: str
    none: str
    """What is said where there are no endpoints."""

    def text(self, endpoints: Sequence[Endpoint], address: int = 0, label: int = 0) -> str:
        targets = " | ".join(map(str, endpoints)) or self.none
        return f"{self.address:<{address}}  {self.label:<{label}}  -> {targets}"


class Change(NamedTuple):
    """A frontend that got endpoints ("+") or lost them ("-"); without any it came or went itself."""

    sign: str
    address: str
    service: PortName
    endpoints: tuple[Endpoint, ...]
    text: str

    def document(self) -> dict[str, Any]:
        return {
            "op": self.sign,
            "address": self.address,
            "namespace": self.service.namespace,
            "service": self.service.service,
            "portName": self.service.port,
            "protocol": self.service.protocol,
            "endpoints": list(map(str, self.endpoints)),
        }


def lines(table: ServiceTable) -> list[str]:
    """One line a frontend, aligned: ClusterIPs by address, then the addresses outside, then NodePorts."""
    ports = sorted(table, key=_by_address)
    rows = _rows(ports, table.node_ips, _labels(ports))
    address = max((len(row.address) for row in rows), default=0)
    label = max((len(row.label) for row in rows), default=0)
    return [f"{row.text(row.endpoints, address, label)}{row.how}" for row in rows]


def difference(old: ServiceTable, new: ServiceTable) -> list[Change]:
    """What the step from one table to the next does, by frontend: what it loses first, then what it gains."""
    found = changes(old, new)
    if not found:
        return []
    labels = {**_labels(list(old)), **_labels(list(new))}
    out: list[Change] = []
    pairs = [(port, None) for port in found.removed] + [(old.ports.get(port.name), port) for port in found.applied]
    for before, after in pairs:
        had = _by_frontend(before, old.node_ips, labels)
        has = _by_frontend(after, new.node_ips, labels)
        name = (after or before or found.applied[0]).name
        for address in dict.fromkeys((*had, *has)):
            out += _frontend_changes(name, had.get(address), has.get(address))
    return out


def _frontend_changes(name: PortName, before: _Row | None, after: _Row | None) -> Iterator[Change]:
    for sign, row, partner in (("-", before, after), ("+", after, before)):
        if row is None:
            continue
        endpoints = tuple(item for item in row.endpoints if partner is None or item not in partner.endpoints)
        if endpoints or partner is None:
            yield Change(sign, row.address, name, endpoints, f"{sign} {row.text(endpoints)}")


def _by_frontend(port: ServicePort | None, node_ips: Sequence[str], labels: Mapping[PortName, str]) -> dict[str, _Row]:
    return {} if port is None else {row.address: row for row in _rows([port], node_ips, labels)}


def document(table: ServiceTable, mode: str) -> dict[str, Any]:
    """What kube-proxy answers on its table socket."""
    return {
        "mode": mode,
        "node": table.node,
        "lines": lines(table),
        "services": [_service(port) for port in sorted(table, key=_by_address)],
    }


def matching(
    table: ServiceTable, destination: tuple[str, int], real_port: Callable[[int], int], protocol: str = "TCP"
) -> Any:
    """The rule that a new connection to `destination` meets on this node, or None. `real_port` as in `forwards`."""
    ip, number = destination
    for port in sorted(table, key=lambda port: port.name):
        if port.protocol != protocol:
            continue
        inside = ip in port.cluster_ips
        if number == real_port(port.port) and (inside or ip in port.outside_ips):
            return _matched(port, "ClusterIP" if inside else "external address", inside=inside)
        if number == port.node_port and ip in table.node_ips:
            return _matched(port, "NodePort", inside=False)
    return None


def _matched(port: ServicePort, kind: str, *, inside: bool) -> dict[str, Any]:
    endpoints = port.internal_endpoints if inside else port.external_endpoints
    return {
        "kind": kind,
        "namespace": port.name.namespace,
        "service": port.name.service,
        "portName": port.name.port,
        "candidates": list(map(str, endpoints)),
        "localOnly": port.internal_local if inside else port.external_local,
        "affinitySeconds": port.affinity_seconds or None,
    }


def _rows(ports: Sequence[ServicePort], node_ips: Sequence[str], labels: Mapping[PortName, str]) -> list[_Row]:
    rows = [_row(ip, port.port, port, labels, inside=True) for port in ports for ip in port.cluster_ips]
    rows += [_row(ip, port.port, port, labels) for port in ports for ip in port.outside_ips]
    for port in sorted((port for port in ports if port.node_port), key=lambda port: port.node_port):
        rows += [_row(ip, port.node_port, port, labels) for ip in node_ips or ("<node>",)]
    return rows


def _row(ip: str, number: int, port: ServicePort, labels: Mapping[PortName, str], *, inside: bool = False) -> _Row:
    endpoints = port.internal_endpoints if inside else port.external_endpoints
    protocol = "" if port.protocol == "TCP" else f"/{port.protocol.lower()}"
    how = []
    if len(endpoints) > 1:
        how.append(f"by client, {port.affinity_seconds} s" if port.affinity_seconds else "round robin")
    if port.internal_local if inside else port.external_local:
        how.append("this node's only")
    if port.source_ranges and ip in port.load_balancer_ips:
        how.append(f"for {', '.join(port.source_ranges)}")
    none = "(no endpoints here: dropped)" if port.endpoints else "(no endpoints)"
    shown = f"   ({'; '.join(how)})" if how else ""
    return _Row(f"{ip}:{number}{protocol}", labels[port.name], endpoints, shown, none)


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
        "loadBalancerSourceRanges": list(port.source_ranges),
        "healthCheckNodePort": port.health_check_port or None,
        "endpoints": [{"ip": item.ip, "port": item.port, "local": item.local} for item in port.endpoints],
        "leaving": [{"ip": item.ip, "port": item.port, "local": item.local} for item in port.others],
    }
