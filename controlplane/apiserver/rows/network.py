"""Rows of Services and of networking.k8s.io and discovery.k8s.io."""

from __future__ import annotations

from typing import Any

from .cells import NONE, Object, Row, age, few, labels, name, selector

_SHOWN_NAMES = 3


def service(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    kind = spec.get("type", "")
    address = spec.get("clusterIP") or (spec.get("clusterIPs") or [NONE])[0]
    return [
        name(obj),
        kind,
        NONE if kind == "ExternalName" else address,
        _external(obj, spec),
        _ports(spec),
        age(obj, now),
        labels(spec.get("selector")),
    ]


def _external(obj: Object, spec: Object) -> str:
    external = spec.get("externalIPs") or []
    match spec.get("type"):
        case "LoadBalancer":
            found = _ingress(obj.get("status") or {})
            if external:
                found = ",".join(([found] if found else []) + external)
            return found or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
    return ",".join(external) or NONE


def _ingress(status: Object) -> str:
    found = [
        each.get("ip") or each.get("hostname", "") for each in (status.get("loadBalancer") or {}).get("ingress") or ()
    ]
    return ",".join(each for each in found if each)


def _ports(spec: Object) -> str:
    shown = []
    for port in spec.get("ports") or ():
        number = f"{port['port']}:{port['nodePort']}" if port.get("nodePort") else str(port["port"])
        shown.append(f"{number}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or NONE


def ingress(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    hosts = [rule["host"] for rule in spec.get("rules") or () if rule.get("host")]
    shown = f"{','.join(hosts[:_SHOWN_NAMES])} + {len(hosts) - 3} more..." if len(hosts) > 3 else ",".join(hosts)
    return [
        name(obj),
        spec.get("ingressClassName") or NONE,
        shown or "*",
        _ingress(obj.get("status") or {}),
        "80, 443" if spec.get("tls") else "80",
        age(obj, now),
    ]


def ingress_class(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    parameters = NONE
    if found := spec.get("parameters"):
        group = found.get("apiGroup")
        parameters = f"{found['kind']}.{group}/{found['name']}" if group else f"{found['kind']}/{found['name']}"
    return [name(obj), spec.get("controller", ""), parameters, age(obj, now)]


def network_policy(obj: Object, now: float) -> list[Any]:
    return [name(obj), selector((obj.get("spec") or {}).get("podSelector")), age(obj, now)]


def ip_address(obj: Object, now: float) -> list[Any]:
    parent = (obj.get("spec") or {}).get("parentRef") or {}
    group, resource = parent.get("group", ""), parent.get("resource", "")
    place = f"{parent['namespace']}/{parent.get('name', '')}" if parent.get("namespace") else parent.get("name", "")
    kind = f"{resource}.{group}" if group else resource
    return [name(obj), f"{kind.lower()}/{place}" if parent else NONE]


def service_cidr(obj: Object, now: float) -> list[Any]:
    return [name(obj), ",".join((obj.get("spec") or {}).get("cidrs") or ()), age(obj, now)]


def endpoint_slice(obj: Object, now: float) -> list[Any]:
    ports = [str(port["port"]) if port.get("port") else "*" for port in obj.get("ports") or ()]
    addresses = [address for each in obj.get("endpoints") or () for address in each.get("addresses") or ()]
    return [
        name(obj), obj.get("addressType", ""), few(ports) or "<unset>", few(addresses) or "<unset>", age(obj, now)
    ]  # fmt: skip


NETWORK: dict[tuple[str, str], Row] = {
    ("", "services"): service,
    ("networking.k8s.io", "ingresses"): ingress,
    ("networking.k8s.io", "ingressclasses"): ingress_class,
    ("networking.k8s.io", "networkpolicies"): network_policy,
    ("networking.k8s.io", "ipaddresses"): ip_address,
    ("networking.k8s.io", "servicecidrs"): service_cidr,
    ("discovery.k8s.io", "endpointslices"): endpoint_slice,
}
