"""What the company's DNS says: hosts by configuration, and those that Ingresses and Services bring with them.

Pure. `CompanyZones` has one zone a domain and one for the reverse names; `names_of_ingress` and `names_of_service` tell
which names an object asks for and where they lead.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import wire
from ..zone import Entry, Zone, Zones
from .ownership import txt_name, txt_value

if TYPE_CHECKING:
    from .endpoints import Endpoint

HOSTNAME_ANNOTATION = "external-dns.alpha.kubernetes.io/hostname"
TARGET_ANNOTATION = "external-dns.alpha.kubernetes.io/target"

_HOST = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

Object = Mapping[str, Any]
Names = Mapping[str, Sequence[str]]
"""Where each host leads: addresses or, for a load balancer that has only a name, that name."""


class CompanyZones:
    """The domains this server is the authority for."""

    def __init__(self, domains: Sequence[str], *, address: str, ttl: int, serial: int, isolated: bool = False) -> None:
        """`isolated`: nothing lies beyond the LAN, so that other names don't exist instead of being unknown."""
        if not domains:
            raise ValueError("no domain given")
        self.domains = tuple(domain.rstrip(".").lower() for domain in domains)
        first = self.domains[0]
        common: dict[str, Any] = {"primary": wire.name(f"ns.{first}"), "ttl": ttl, "serial": serial}
        self._forward = [
            Zone(wire.name(domain), mailbox=wire.name(f"hostmaster.{domain}"), **common) for domain in self.domains
        ]
        mailbox = wire.name(f"hostmaster.{first}")
        self._reverse = [
            Zone(wire.name(arpa), mailbox=mailbox, fallthrough=not isolated, **common)
            for arpa in ("in-addr.arpa", "ip6.arpa")
        ]
        beyond = [Zone(wire.ROOT, mailbox=mailbox, **common)] if isolated else []
        self.zones = Zones([*self._forward, *self._reverse, *beyond])
        for zone in self._forward:
            zone.put("server", [Entry(zone.origin, wire.NS, common["primary"])])
        self.put("ns", {f"ns.{first}": [address]})

    @property
    def forward(self) -> Sequence[Zone]:
        """The domains' zones, without the reverse ones."""
        return self._forward

    def fixed(self, records: Iterable[str]) -> None:
        """`NAME=IP` records; a NAME without a dot is a host of the first domain. Raises ValueError."""
        hosts: dict[str, list[str]] = {}
        for record in records:
            host, separator, address = record.partition("=")
            if not separator:
                raise ValueError(f"{record!r} is not NAME=IP")
            wire.address_data(address)
            host = self.qualified(host)
            if not _HOST.fullmatch(host):
                raise ValueError(f"{record!r} names no host")
            if not self.covers(host):
                raise ValueError(f"{host} is in none of the domains {', '.join(self.domains)}")
            hosts.setdefault(host, []).append(address)
        self.put("fixed", hosts, reverse=True)

    def qualified(self, host: str) -> str:
        host = host.rstrip(".").lower()
        return host if "." in host else f"{host}.{self.domains[0]}"

    def covers(self, host: str) -> bool:
        return any(host == domain or host.endswith("." + domain) for domain in self.domains)

    def put(self, source: Hashable, names: Names, *, reverse: bool = False) -> bool:
        """Make `names` all that `source` says; True when an answer changed. Hosts of other domains are left out."""
        entries = [
            entry
            for host, targets in names.items()
            if _HOST.fullmatch(host) and len(host) < 254 and self.covers(host)
            for entry in _entries(host, targets, reverse=reverse)
        ]
        return any([zone.put(source, entries) for zone in (*self._forward, *self._reverse)])

    def put_endpoints(self, source: Hashable, endpoints: Iterable[Endpoint], owner: str) -> bool:
        """The same for Endpoints of any type; with an `owner`, TXT records tell whose they are."""
        entries = [
            entry
            for endpoint in endpoints
            if len(endpoint.name) < 240 and self.covers(endpoint.name)
            for entry in _of_endpoint(endpoint, owner)
        ]
        return any([zone.put(source, entries) for zone in (*self._forward, *self._reverse)])


def _of_endpoint(endpoint: Endpoint, owner: str) -> Iterable[Entry]:
    name = wire.name(endpoint.name)
    for target in endpoint.targets:
        if endpoint.type == "TXT":
            yield Entry(name, wire.TXT, wire.txt_data(target))
        elif endpoint.type == "CNAME":
            yield Entry(name, wire.CNAME, wire.name(target))
        else:
            yield Entry(name, *wire.address_data(target))
    if owner:
        text = txt_value(owner, endpoint.resource)
        yield Entry(wire.name(txt_name(endpoint.type, endpoint.name)), wire.TXT, wire.txt_data(text))


def _entries(host: str, targets: Sequence[str], *, reverse: bool) -> Iterable[Entry]:
    owner = wire.name(host)
    addresses: list[tuple[str, int, bytes]] = []
    aliases: list[bytes] = []
    for target in targets:
        try:
            addresses.append((target, *wire.address_data(target)))
        except ValueError:
            if _HOST.fullmatch(target.rstrip(".").lower()):
                aliases.append(wire.name(target))
    for target, kind, data in addresses:
        yield Entry(owner, kind, data)
        if reverse and not host.startswith("*."):
            yield Entry(wire.reverse_name(target), wire.PTR, owner)
    if aliases and not addresses:  # an alias must be alone at its name
        yield Entry(owner, wire.CNAME, aliases[0])


def names_of_ingress(ingress: Object) -> Names:
    """The hosts of an Ingress' rules and where its load balancer is; empty until it has one."""
    targets = _targets(ingress)
    rules = (ingress.get("spec") or {}).get("rules") or ()
    hosts = [str(rule["host"]).lower() for rule in rules if rule.get("host")]
    return {host: targets for host in [*hosts, *_annotated(ingress)]} if targets else {}


def names_of_service(service: Object) -> Names:
    """The hosts that a Service of type LoadBalancer asks for in its annotation."""
    if (service.get("spec") or {}).get("type") != "LoadBalancer":
        return {}
    targets = _targets(service)
    return {host: targets for host in _annotated(service)} if targets else {}


def _annotated(obj: Object) -> list[str]:
    value = (obj["metadata"].get("annotations") or {}).get(HOSTNAME_ANNOTATION) or ""
    return [host.strip().rstrip(".").lower() for host in value.split(",") if host.strip()]


def _targets(obj: Object) -> list[str]:
    override = (obj["metadata"].get("annotations") or {}).get(TARGET_ANNOTATION) or ""
    if override:
        return [target.strip() for target in override.split(",") if target.strip()]
    ingress = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [
        str(entry.get("ip") or entry.get("hostname")) for entry in ingress if entry.get("ip") or entry.get("hostname")
    ]
