"""A Service and its pods in, the EndpointSlices that should exist out. Pure; see discovery.k8s.io/v1.

Pods are grouped by what the Service's ports come to in them (a named port may differ from pod to pod); a group fills
slices of at most `LIMIT` endpoints, and existing slices change as little as possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..meta import Object, controller_reference, is_deleting, labels, metadata, name, namespace, spec, status, uid
from ..pods import is_ready, is_terminal

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
LIMIT = 100
"""Endpoints a slice."""

Ports = tuple[tuple[str, int, str, str], ...]
"""(name, port, protocol, application protocol) of each port, in the Service's order."""


@dataclass(frozen=True)
class Plan:
    create: tuple[Object, ...] = ()
    update: tuple[Object, ...] = ()
    delete: tuple[Object, ...] = ()


def target_port(port: Object, pod: Object) -> int | None:
    """The pod's port number behind a Service port; None if the pod has no port of that name."""
    target = port.get("targetPort", port.get("port"))
    if isinstance(target, int):
        return target or port.get("port")
    containers = [*(spec(pod).get("containers") or ()), *_sidecars(pod)]
    for container in containers:
        for item in container.get("ports") or ():
            if item.get("name") == target and item.get("protocol", "TCP") == port.get("protocol", "TCP"):
                return int(item["containerPort"])
    return None


def _sidecars(pod: Object) -> Iterable[Object]:
    return (item for item in spec(pod).get("initContainers") or () if item.get("restartPolicy") == "Always")


def ports_of(service: Object, pod: Object) -> Ports:
    found = []
    for port in spec(service).get("ports") or ():
        number = target_port(port, pod)
        if number is not None:
            found.append((port.get("name") or "", number, port.get("protocol") or "TCP", port.get("appProtocol") or ""))
    return tuple(found)


def address_of(pod: Object, family: str) -> str | None:
    """The pod's address of the family, IPv4 or IPv6."""
    addresses = [item.get("ip") for item in status(pod).get("podIPs") or ()] or [status(pod).get("podIP")]
    return next((item for item in addresses if item and (":" in item) == (family == "IPv6")), None)


def belongs(pod: Object) -> bool:
    """Pods that have ended never serve again; those being deleted are listed as terminating."""
    return not is_terminal(pod)


def endpoint(service: Object, pod: Object, address: str) -> Object:
    serving, terminating = is_ready(pod), is_deleting(pod)
    published = bool(spec(service).get("publishNotReadyAddresses"))
    found: Object = {
        "addresses": [address],
        "conditions": {
            "ready": published or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {"kind": "Pod", "namespace": namespace(pod), "name": name(pod), "uid": uid(pod)},
    }
    if spec(pod).get("nodeName"):
        found["nodeName"] = spec(pod)["nodeName"]
    if spec(pod).get("hostname") and spec(pod).get("subdomain") == name(service):
        found["hostname"] = spec(pod)["hostname"]
    return found


def slice_labels(service: Object) -> dict[str, str]:
    own = {key: value for key, value in labels(service).items() if key not in (SERVICE_NAME, MANAGED_BY, HEADLESS)}
    if spec(service).get("clusterIP") == "None":
        own[HEADLESS] = ""
    return {**own, SERVICE_NAME: name(service), MANAGED_BY: MANAGER}


def families(service: Object) -> Sequence[str]:
    return spec(service).get("ipFamilies") or ("IPv4",)


def plan(service: Object, pods: Iterable[Object], slices: Iterable[Object], zones: dict[str, str]) -> Plan:
    """`slices` are those this controller made for the Service; `zones` are the nodes' zones by name."""
    candidates = [pod for pod in pods if belongs(pod)]
    existing = [item for item in slices if not is_deleting(item)]
    create: list[Object] = []
    update: list[Object] = []
    delete: list[Object] = []
    wanted_families = families(service)
    delete += [item for item in existing if item.get("addressType") not in wanted_families]
    for family in wanted_families:
        groups = _groups(service, candidates, family, zones)
        mine = [item for item in existing if item.get("addressType") == family]
        for ports, endpoints in groups.items():
            alike = [item for item in mine if slice_ports(item) == ports]
            made, changed = _fill(service, family, ports, endpoints, alike)
            create += made
            update += changed
        delete += [item for item in mine if slice_ports(item) not in groups]
    emptied = [item for item in update if not item["endpoints"] and _replaceable(item, existing, create, update)]
    return Plan(
        tuple(create),
        tuple(item for item in update if item not in emptied),
        tuple(delete + emptied),
    )


def _replaceable(item: Object, existing: Sequence[Object], create: Sequence[Object], update: Sequence[Object]) -> bool:
    """Whether other slices of the same family stay, so that this empty one may go."""
    family, changing = item.get("addressType"), {name(other) for other in update}
    stays = [other for other in existing if other.get("addressType") == family and name(other) not in changing]
    full = [other for other in update if other.get("addressType") == family and other["endpoints"]]
    return bool(stays or full or [other for other in create if other.get("addressType") == family])


def _groups(
    service: Object, pods: Iterable[Object], family: str, zones: dict[str, str]
) -> dict[Ports, dict[str, Object]]:
    """Endpoints by pod uid, by the ports they serve. A Service without any keeps one empty group: its placeholder."""
    groups: dict[Ports, dict[str, Object]] = {}
    for pod in pods:
        address = address_of(pod, family)
        if address is None:
            continue
        found = endpoint(service, pod, address)
        if zone := zones.get(found.get("nodeName", "")):
            found["zone"] = zone
        if hints := _hints(service, found):
            found["hints"] = hints
        groups.setdefault(ports_of(service, pod), {})[uid(pod)] = found
    return groups or {(): {}}


def _hints(service: Object, found: Object) -> Object:
    """Whom a ready endpoint is to serve first, by the Service's trafficDistribution."""
    wanted, zone = spec(service).get("trafficDistribution"), found.get("zone")
    if wanted not in ("PreferClose", "PreferSameZone", "PreferSameNode") or not found["conditions"]["ready"]:
        return {}
    hints: Object = {"forZones": [{"name": zone}]} if zone else {}
    if wanted == "PreferSameNode" and found.get("nodeName"):
        hints["forNodes"] = [{"name": found["nodeName"]}]
    return hints


def slice_ports(item: Object) -> Ports:
    return tuple(
        (
            port.get("name") or "",
            int(port.get("port") or 0),
            port.get("protocol") or "TCP",
            port.get("appProtocol") or "",
        )
        for port in item.get("ports") or ()
    )


def _fill(
    service: Object, family: str, ports: Ports, endpoints: dict[str, Object], slices: Sequence[Object]
) -> tuple[list[Object], list[Object]]:
    """(to create, to update): keeps what is in place, puts the rest where there is room, then into new slices."""
    left = dict(endpoints)
    kept: list[list[Object]] = []
    for item in slices:
        here = [left.pop(owner) for each in item.get("endpoints") or () if (owner := _owner(each)) in left]
        kept.append(here)
    queue = list(left.values())
    for here in kept:
        room = max(0, LIMIT - len(here))
        here += queue[:room]
        del queue[:room]
    update = []
    for item, here in zip(slices, kept, strict=True):
        wanted = {**item, "metadata": {**metadata(item), **_meta(service)}, "endpoints": here}
        if wanted["metadata"] != metadata(item) or here != (item.get("endpoints") or []):
            update.append(wanted)
    create = [_slice(service, family, ports, queue[start : start + LIMIT]) for start in range(0, len(queue), LIMIT)]
    if not slices and not create:
        create = [_slice(service, family, ports, [])]
    return create, update


def _owner(each: Object) -> str:
    return str((each.get("targetRef") or {}).get("uid") or "")


def _meta(service: Object) -> dict[str, Any]:
    return {"labels": slice_labels(service), "ownerReferences": [controller_reference(service, "v1", "Service")]}


def _slice(service: Object, family: str, ports: Ports, endpoints: list[Object]) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"generateName": f"{name(service)}-", "namespace": namespace(service), **_meta(service)},
        "addressType": family,
        "endpoints": endpoints,
        "ports": [
            {
                "name": port,
                "port": number,
                "protocol": protocol,
                **({"appProtocol": application} if application else {}),
            }
            for port, number, protocol, application in ports
        ],
    }
