"""A Service and its pods in, its Endpoints object out. Pure. The older form of EndpointSlices, still read by many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..endpointslice.decide import Ports, address_of, families, ports_of
from ..meta import Object, annotations_of, controller_of, is_deleting, labels, metadata, name, namespace, spec, uid
from ..pods import is_ready, is_terminal

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
HEADLESS = "service.kubernetes.io/headless"
LIMIT = 1000
"""Addresses in one object; the rest is cut off and the object says so."""
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"


def wanted(service: Object, pods: Iterable[Object], current: Object | None) -> Object:
    """The Endpoints object that should exist, built on the one that does."""
    family = families(service)[0]
    ready: dict[Ports, list[Object]] = {}
    waiting: dict[Ports, list[Object]] = {}
    ordered = sorted((pod for pod in pods if not is_terminal(pod) and not is_deleting(pod)), key=name)
    over = len(ordered) > LIMIT
    for pod in ordered[:LIMIT]:
        address = address_of(pod, family)
        ports = ports_of(service, pod)
        if address is None or (not ports and spec(service).get("ports")):
            continue
        up = is_ready(pod) or bool(spec(service).get("publishNotReadyAddresses"))
        (ready if up else waiting).setdefault(ports, []).append(_address(service, pod, address))
    subsets = [_subset(ports, ready.get(ports, ()), waiting.get(ports, ())) for ports in sorted({*ready, *waiting})]
    meta = dict(metadata(current or {})) or {"name": name(service), "namespace": namespace(service)}
    meta["labels"] = _labels(service)
    kept = {key: value for key, value in annotations_of(current or {}).items() if key != OVER_CAPACITY}
    meta["annotations"] = {**kept, OVER_CAPACITY: "truncated"} if over else kept
    if not meta["annotations"]:
        del meta["annotations"]
    found: Object = {**(current or {}), "apiVersion": "v1", "kind": "Endpoints", "metadata": meta}
    found.pop("subsets", None)
    if subsets:
        found["subsets"] = subsets
    return found


def _labels(service: Object) -> dict[str, str]:
    own = {key: value for key, value in labels(service).items() if key != HEADLESS}
    if spec(service).get("clusterIP") == "None":
        own[HEADLESS] = ""
    return {**own, MANAGED_BY: MANAGER}


def _address(service: Object, pod: Object, address: str) -> Object:
    found: Object = {"ip": address}
    if spec(pod).get("hostname") and spec(pod).get("subdomain") == name(service):
        found["hostname"] = spec(pod)["hostname"]
    if spec(pod).get("nodeName"):
        found["nodeName"] = spec(pod)["nodeName"]
    found["targetRef"] = {"kind": "Pod", "namespace": namespace(pod), "name": name(pod), "uid": uid(pod)}
    return found


def _subset(ports: Ports, ready: Iterable[Object], waiting: Iterable[Object]) -> Object:
    subset: Object = {}
    if up := list(ready):
        subset["addresses"] = up
    if down := list(waiting):
        subset["notReadyAddresses"] = down
    if ports:
        subset["ports"] = [
            {
                **({"name": port} if port else {}),
                "port": number,
                "protocol": protocol,
                **({"appProtocol": application} if application else {}),
            }
            for port, number, protocol, application in ports
        ]
    return subset


def is_ours(current: Mapping[str, object]) -> bool:
    """Made by this controller; what a user keeps for a Service without selector is not touched."""
    return labels(current).get(MANAGED_BY) == MANAGER and controller_of(current) is None
