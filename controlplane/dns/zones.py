"""Services and EndpointSlices as DNS data: the names of the Kubernetes DNS specification 1.1.0, as CoreDNS gives them.

Pure. `ClusterZones` takes one object at a time and touches only the names of that object's Service.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from . import wire
from .settings import Kubernetes
from .zone import Entry, Zone, Zones

SPEC_VERSION = "1.1.0"
SERVICE_NAME_LABEL = "kubernetes.io/service-name"

Object = Mapping[str, Any]
Key = tuple[str, str]
_ARPA = (wire.name("in-addr.arpa"), wire.name("ip6.arpa"))


class ClusterZones:
    """The cluster's zone and the reverse zones, kept up to date object by object."""

    def __init__(
        self, domain: str, *, ttl: int, serial: int, address: str | None = None, how: Kubernetes | None = None
    ) -> None:
        """`how`: the Corefile's directive, if there is one; without it, as kubeadm has it."""
        origin = wire.name(domain)
        self.domain = domain.rstrip(".").lower()
        self._how = how or Kubernetes((origin, *_ARPA), pods="insecure", fallthrough=_ARPA)
        self._services: dict[Key, Object] = {}
        self._slices: dict[Key, dict[str, Object]] = {}
        """EndpointSlices by their Service, then by their own name."""
        self._namespaces: set[str] | None = None
        """Those that exist; None while nobody said."""
        server = wire.name(f"ns.dns.{self.domain}")
        common: dict[str, Any] = {
            "primary": server,
            "mailbox": wire.name(f"hostmaster.{self.domain}"),
            "ttl": ttl,
            "serial": serial,
        }
        synthesized = _Synthesized(origin, self._how.pods != "disabled", self._exists)
        falls = set(self._how.fallthrough)
        self.forward = Zone(origin, synthesize=synthesized, fallthrough=origin in falls, **common)
        others = [zone for zone in self._how.zones if zone != origin]
        self.reverse = tuple(
            Zone(zone, fallthrough=not falls.isdisjoint(wire.ancestry(zone)), **common) for zone in others
        )
        self.zones = Zones((self.forward, *self.reverse))
        self._say_who_we_are(server, address)

    def namespace(self, name: str, exists: bool) -> None:
        """A namespace came or went: its own name is answered accordingly."""
        self._namespaces = self._namespaces or set()
        (self._namespaces.add if exists else self._namespaces.discard)(name)

    def _exists(self, namespace: str) -> bool:
        shown = not self._how.namespaces or namespace in self._how.namespaces
        return shown and (self._namespaces is None or namespace in self._namespaces)

    def service(self, key: Key, service: Object | None) -> bool:
        """A Service as it is now, None when it is gone. True when any answer changed."""
        if service is None:
            self._services.pop(key, None)
        else:
            self._services[key] = service
        return self._refresh(key)

    def endpoint_slice(self, key: Key, endpoint_slice: Object | None, old: Object | None = None) -> bool:
        """An EndpointSlice as it is now (None: gone) and as it was. True when any answer changed."""
        owners = {owner for obj in (endpoint_slice, old) if obj is not None and (owner := slice_owner(obj)) is not None}
        for owner in owners:
            siblings = self._slices.setdefault(owner, {})
            if endpoint_slice is not None and slice_owner(endpoint_slice) == owner:
                siblings[key[1]] = endpoint_slice
            else:
                siblings.pop(key[1], None)
            if not siblings:
                del self._slices[owner]
        return any([self._refresh(owner) for owner in owners])

    def _refresh(self, key: Key) -> bool:
        service = self._services.get(key)
        entries: list[Entry] = []
        if service is not None and (not self._how.namespaces or key[0] in self._how.namespaces):
            slices = [] if self._how.no_endpoints else list(self._slices.get(key, {}).values())
            if self._how.endpoint_pod_names:
                slices = [_with_pod_names(item) for item in slices]
            entries = list(service_entries(service, slices, self.domain))
        changed = [zone.put(key, entries) for zone in (self.forward, *self.reverse)]
        return any(changed)

    def _say_who_we_are(self, server: bytes, address: str | None) -> None:
        origin = self.forward.origin
        entries = [
            Entry(wire.name(f"dns-version.{self.domain}"), wire.TXT, wire.txt_data(SPEC_VERSION)),
            Entry(origin, wire.NS, server),
        ]
        if address is not None:
            entries.append(Entry(server, *wire.address_data(address)))
        self.forward.put("this server", entries)


def slice_owner(endpoint_slice: Object) -> Key | None:
    """The Service that an EndpointSlice belongs to, if any."""
    metadata = endpoint_slice["metadata"]
    name = (metadata.get("labels") or {}).get(SERVICE_NAME_LABEL)
    return (metadata["namespace"], name) if name else None


class _Synthesized:
    """Names that follow from themselves: `svc`, `pod`, each namespace, and pods by their address (`pods insecure`)."""

    def __init__(self, origin: bytes, pods: bool, exists: Callable[[str], bool]) -> None:
        self._pods, self._exists = pods, exists
        self._bare = {b"\x03svc" + origin, b"\x03pod" + origin}
        self._pod = b"\x03pod" + origin

    def __call__(self, name: bytes) -> Mapping[int, Iterable[bytes]] | None:
        if name in self._bare:
            return {}
        labels: list[bytes] = []
        for parent in wire.ancestry(name):
            if parent in self._bare:
                break
            if len(labels) == 2 or parent == wire.ROOT:
                return None
            labels.append(parent[1 : 1 + parent[0]])
        if not self._exists(labels[-1].decode("ascii", "replace")):
            return None
        if len(labels) == 1:
            return {} if self._pods or not name.endswith(self._pod) else None
        return pod_data(labels[0]) if self._pods and name.endswith(self._pod) else None


def _with_pod_names(endpoint_slice: Object) -> Object:
    """Endpoints without a hostname are called as their pods (`endpoint_pod_names`)."""

    def named(endpoint: Object) -> Object:
        pod = (endpoint.get("targetRef") or {}).get("name") or ""
        return endpoint if endpoint.get("hostname") or not 0 < len(pod) < 64 else {**endpoint, "hostname": pod}

    return {**endpoint_slice, "endpoints": [named(item) for item in endpoint_slice.get("endpoints") or ()]}


def pod_data(label: bytes) -> Mapping[int, Iterable[bytes]] | None:
    """10-10-0-5 as an address record, None when it is no address."""
    text = label.decode("ascii", "replace")
    separator = "." if text.count("-") == 3 and "--" not in text else ":"
    try:
        kind, data = wire.address_data(text.replace("-", separator))
    except ValueError:
        return None
    return {kind: (data,)}


def service_entries(service: Object, slices: Sequence[Object], domain: str) -> Iterator[Entry]:
    """Every record that a Service and its endpoints give rise to, reverse records too."""
    metadata, spec = service["metadata"], service.get("spec") or {}
    base = f"{metadata['name']}.{metadata['namespace']}.svc.{domain}"
    if spec.get("type") == "ExternalName":
        yield from _external(base, str(spec.get("externalName") or ""))
        return
    addresses = [ip for ip in spec.get("clusterIPs") or [spec.get("clusterIP")] if ip and ip != "None"]
    if "None" in (spec.get("clusterIPs") or ()) or spec.get("clusterIP") == "None":
        yield from _headless(base, slices)
    elif addresses:
        yield from _cluster_ip(base, addresses, spec.get("ports") or ())
        yield from _endpoint_names(base, slices)


def _external(base: str, target: str) -> Iterator[Entry]:
    try:
        ipaddress.ip_address(target)
    except ValueError:
        if alias := _try_name(target):
            yield Entry(wire.name(base), wire.CNAME, alias)


def _cluster_ip(base: str, addresses: Sequence[str], ports: Sequence[Object]) -> Iterator[Entry]:
    owner = wire.name(base)
    data = [wire.address_data(address) for address in addresses]
    for kind, packed in data:
        yield Entry(owner, kind, packed)
    for address in addresses:
        yield Entry(wire.reverse_name(address), wire.PTR, owner)
    yield from _services(base, [(owner, port) for port in ports], data)


def _headless(base: str, slices: Sequence[Object]) -> Iterator[Entry]:
    owner = wire.name(base)
    targets: list[tuple[bytes, Object]] = []
    data: list[tuple[int, bytes]] = []
    for host, address, ports in _endpoints(base, slices):
        kind, packed = wire.address_data(address)
        yield Entry(owner, kind, packed)
        data.append((kind, packed))
        targets += [(host, port) for port in ports if port.get("port")]
    yield from _services(base, targets, data)
    yield from _endpoint_names(base, slices)


def _services(base: str, targets: Sequence[tuple[bytes, Object]], data: Sequence[tuple[int, bytes]]) -> Iterator[Entry]:
    """SRV records of the Service itself, and of each of its named ports under `_port._protocol`."""
    targets = list({(host, _port_key(port)): (host, port) for host, port in targets}.values())
    yield from _srv(wire.name(base), targets)
    named: dict[str, list[tuple[bytes, Object]]] = {}
    for host, port in targets:
        if port.get("name"):
            named.setdefault(f"_{port['name']}._{port.get('protocol') or 'TCP'}.{base}", []).append((host, port))
    for text, mine in named.items():
        if owner := _try_name(text):
            yield from _srv(owner, mine)
            yield from (Entry(owner, kind, packed) for kind, packed in data)


def _srv(owner: bytes, targets: Sequence[tuple[bytes, Object]]) -> Iterator[Entry]:
    weight = max(1, 100 // len(targets)) if targets else 0
    for host, port in targets:
        yield Entry(owner, wire.SRV, wire.srv_data(0, weight, int(port["port"]), host))


def _endpoint_names(base: str, slices: Sequence[Object]) -> Iterator[Entry]:
    """A name for each endpoint: its hostname, or its address with dashes; and the way back from the address."""
    ports_of: dict[bytes, list[tuple[bytes, Object]]] = {}
    for host, address, ports in _endpoints(base, slices):
        yield Entry(host, *wire.address_data(address))
        yield Entry(wire.reverse_name(address), wire.PTR, host)
        ports_of.setdefault(host, []).extend((host, port) for port in ports if port.get("port"))
    for host, targets in ports_of.items():
        yield from _srv(host, list({_port_key(port): (host, port) for _, port in targets}.values()))


def _endpoints(base: str, slices: Sequence[Object]) -> Iterator[tuple[bytes, str, Sequence[Object]]]:
    """Name, address and ports of every ready endpoint."""
    for endpoint_slice in slices:
        if endpoint_slice.get("addressType") not in ("IPv4", "IPv6"):
            continue
        ports = endpoint_slice.get("ports") or ()
        for endpoint in endpoint_slice.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is False:
                continue
            for address in endpoint.get("addresses") or ():
                label = endpoint.get("hostname") or address.replace(".", "-").replace(":", "-")
                if host := _try_name(f"{label}.{base}"):
                    yield host, address, ports


def _port_key(port: Object) -> tuple[Any, ...]:
    return port.get("name"), port.get("protocol"), port.get("port")


def _try_name(text: str) -> bytes | None:
    """The name, or None for what the API let through but DNS can't carry."""
    try:
        return wire.name(text)
    except ValueError:
        return None
