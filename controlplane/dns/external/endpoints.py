"""Which records objects of the cluster ask for, as ExternalDNS reads them. Pure.

Sources are Ingresses, Services, OpenShift's Routes and DNSEndpoints; each object becomes Endpoints.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Any

from .hosts import Names, names_of_ingress, names_of_service

TTL_ANNOTATION = "external-dns.alpha.kubernetes.io/ttl"
TYPES = ("A", "AAAA", "CNAME", "TXT")
"""What is written of DNSEndpoints; other types are left out and named."""
HOST = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
MAX_TTL = 1 << 31

Object = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class Endpoint:
    """One name's records of one type."""

    name: str
    """In lower case, without the last dot."""
    type: str
    targets: tuple[str, ...]
    ttl: int = 0
    """Seconds; 0: the server's."""
    resource: str = ""
    """KIND/NAMESPACE/NAME of the object that asks for it."""


def of_ingress(ingress: Object) -> list[Endpoint]:
    return _of_names(names_of_ingress(ingress), ingress, "ingress")


def of_service(service: Object) -> list[Endpoint]:
    return _of_names(names_of_service(service), service, "service")


def of_route(route: Object) -> list[Endpoint]:
    """An admitted Route's hosts; where they lead stands in an annotation, or is the router's canonical name."""
    from .hosts import TARGET_ANNOTATION

    annotations = route["metadata"].get("annotations") or {}
    named = [target.strip() for target in str(annotations.get(TARGET_ANNOTATION) or "").split(",") if target.strip()]
    names: dict[str, list[str]] = {}
    for part in (route.get("status") or {}).get("ingress") or ():
        admitted = any(item.get("type") == "Admitted" and item.get("status") == "True" for item in part["conditions"])
        if admitted and part.get("host") and (named or part.get("routerCanonicalHostname")):
            names[part["host"]] = named or [part["routerCanonicalHostname"]]
    return _of_names(names, route, "route")


def of_dns_endpoint(obj: Object) -> list[Endpoint]:
    """What it lists, as far as it is of a type that is written."""
    found = []
    for item in (obj.get("spec") or {}).get("endpoints") or ():
        name, kind = str(item.get("dnsName") or "").lower().rstrip("."), item.get("recordType") or "A"
        targets = tuple(sorted(str(target) for target in item.get("targets") or ()))
        if kind in TYPES and targets and HOST.fullmatch(name) and all(_fits(kind, target) for target in targets):
            found.append(Endpoint(name, kind, targets, _seconds(item.get("recordTTL")), _resource(obj, "crd")))
    return found


SOURCES: Mapping[str, Callable[[Object], list[Endpoint]]] = {
    "ingress": of_ingress,
    "service": of_service,
    "openshift-route": of_route,
    "crd": of_dns_endpoint,
}
"""By the names that ExternalDNS' --source has."""


def _of_names(names: Names, obj: Object, kind: str) -> list[Endpoint]:
    ttl = _seconds((obj["metadata"].get("annotations") or {}).get(TTL_ANNOTATION))
    resource = _resource(obj, kind)
    return [endpoint for name, targets in names.items() for endpoint in _typed(name, targets, ttl, resource)]


def _typed(name: str, targets: Iterable[str], ttl: int, resource: str) -> Iterable[Endpoint]:
    addresses: dict[str, list[str]] = {"A": [], "AAAA": [], "CNAME": []}
    for target in targets:
        addresses[_kind_of(target)].append(target.rstrip("."))
    if not HOST.fullmatch(name):
        return
    for kind in ("A", "AAAA"):
        if addresses[kind]:
            yield Endpoint(name, kind, tuple(sorted(addresses[kind])), ttl, resource)
    aliases = [target for target in addresses["CNAME"] if HOST.fullmatch(target.lower())]
    if aliases and not addresses["A"] and not addresses["AAAA"]:
        yield Endpoint(name, "CNAME", (aliases[0].lower(),), ttl, resource)


def _kind_of(target: str) -> str:
    try:
        return "A" if isinstance(ip_address(target), IPv4Address) else "AAAA"
    except ValueError:
        return "CNAME"


def _fits(kind: str, target: str) -> bool:
    if kind == "TXT":
        return len(target.encode()) < 4096 and target.isprintable()
    if kind == "CNAME":
        return HOST.fullmatch(target.lower().rstrip(".")) is not None
    return _kind_of(target) == kind


def _seconds(value: object) -> int:
    try:
        found = int(str(value).removesuffix("s")) if value is not None else 0
    except ValueError:
        return 0
    return found if 0 < found < MAX_TTL else 0


def _resource(obj: Object, kind: str) -> str:
    metadata = obj["metadata"]
    return f"{kind}/{metadata.get('namespace') or 'default'}/{metadata['name']}"
