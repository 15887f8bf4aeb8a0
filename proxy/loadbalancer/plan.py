"""What the load balancer forwards where: nodes, NodePorts, and the addresses of Services. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..forward.balance import Backends, Target
from ..forward.records import Frontend

EXCLUDED_NODE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"

Object = Mapping[str, Any]


def node_addresses(nodes: Iterable[Object], selectors: Iterable[Any] = ()) -> tuple[str, ...]:
    """The InternalIPs of the nodes that are Ready and want traffic, in order of name; of all, or those selected."""
    found, wanted = [], tuple(selectors)
    for node in sorted(nodes, key=lambda node: str(node["metadata"]["name"])):
        status, labels = node.get("status") or {}, node["metadata"].get("labels") or {}
        ready = any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions") or ())
        selected = not wanted or any(selector.matches(labels) for selector in wanted)
        if ready and selected and EXCLUDED_NODE_LABEL not in labels:
            internal = [item["address"] for item in status.get("addresses") or () if item["type"] == "InternalIP"]
            found += [address for address in internal if ":" not in address][:1]
    return tuple(found)


def forwards(
    address: str,
    fixed: Mapping[int, int],
    services: Iterable[tuple[str, Object, tuple[str, ...]]],
    nodes: tuple[str, ...],
    is_up: Callable[[Target], bool],
    real_port: Callable[[int], int],
    edge: str = "",
) -> dict[Frontend, Backends]:
    """The engine's table. `fixed`: port of `address` -> NodePort; `edge` names sockets that join the first of them.

    `services`: each with its assigned address and its nodes. Where no node is up, all are tried: the check may be the
    one that errs.
    """
    found: dict[Frontend, Backends] = {}
    for number, (port, node_port) in enumerate(fixed.items()):
        backends = Backends(_targets(nodes, node_port, "TCP", is_up))
        found[Frontend("TCP", address, real_port(port))] = backends
        if edge and number == 0:
            found[Frontend("TCP", "", port, edge)] = backends
    for own_address, service, own_nodes in services:
        for frontend, backends in _service_forwards(own_address, service, own_nodes, is_up, real_port):
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
