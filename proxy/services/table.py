"""What a node's kube-proxy must do, as one immutable value: Services and EndpointSlices in, `ServiceTable` out.

Pure: knows nothing of nft, sockets or the API client. `TableBuilder` takes objects one by one, as watches deliver them,
and recomputes only the Services they touch; a table shares everything that did not change with the one before, so that
`changes(old, new)` costs little. Where it goes next: `render` shows it, a dataplane makes it true.

Which endpoints count follows Kubernetes: ready ones; when none is ready, those that terminate but still serve.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
"""Services that carry it belong to another proxy."""
PROTOCOLS = frozenset({"TCP", "UDP"})
DEFAULT_AFFINITY_SECONDS = 10800

Object = Mapping[str, Any]
ServiceName = tuple[str, str]


class PortName(NamedTuple):
    """A service port's identity: it survives changes of everything else."""

    namespace: str
    service: str
    port: str
    protocol: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}" + (f":{self.port}" if self.port else "")


class Endpoint(NamedTuple):
    """Where connections may go. `local`: the pod runs on this node."""

    ip: str
    port: int
    local: bool = False

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of one Service, with the endpoints that may answer it on this node."""

    name: PortName
    cluster_ips: tuple[str, ...]
    port: int
    node_port: int = 0
    load_balancer_ips: tuple[str, ...] = ()
    external_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    """CIDRs that may reach load_balancer_ips; empty: everyone."""
    affinity_seconds: int = 0
    """0: none; else ClientIP for so long after the client's last connection."""
    internal_local: bool = False
    external_local: bool = False
    health_check_port: int = 0
    endpoints: tuple[Endpoint, ...] = ()
    """All that are usable, on whichever node, sorted."""
    local_endpoints: tuple[Endpoint, ...] = ()
    """Those on this node, with a fallback of their own to terminating ones."""
    others: tuple[Endpoint, ...] = ()
    """Not ready or terminating: they get no new connections, theirs go on."""

    @property
    def protocol(self) -> str:
        return self.name.protocol

    @property
    def internal_endpoints(self) -> tuple[Endpoint, ...]:
        """For traffic to the ClusterIPs."""
        return self.local_endpoints if self.internal_local else self.endpoints

    @property
    def external_endpoints(self) -> tuple[Endpoint, ...]:
        """For traffic to the NodePort, load balancer and external addresses."""
        return self.local_endpoints if self.external_local else self.endpoints

    @property
    def outside_ips(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.external_ips + self.load_balancer_ips))


_builders = itertools.count()


class Step(NamedTuple):
    """How a builder's table came from the one before it: so that finding the changes costs what they are."""

    builder: int
    number: int
    touched: frozenset[PortName]


@dataclass(frozen=True, slots=True)
class ServiceTable:
    """The whole truth for one node. `ports` is never changed in place."""

    node: str
    node_ips: tuple[str, ...] = ()
    ports: Mapping[PortName, ServicePort] = field(default_factory=dict)
    step: Step | None = field(default=None, compare=False, repr=False)

    def __iter__(self) -> Iterator[ServicePort]:
        return iter(self.ports.values())


@dataclass(frozen=True, slots=True)
class Changes:
    """What leads from one table to another: `removed` are the old values, `applied` the new or changed ones."""

    removed: tuple[ServicePort, ...]
    applied: tuple[ServicePort, ...]

    def __bool__(self) -> bool:
        return bool(self.removed or self.applied)


def changes(old: ServiceTable, new: ServiceTable) -> Changes:
    """The service ports that differ. What the tables share is passed over by identity."""
    if (names := _touched(old, new)) is None:
        was, now = old.ports.items(), new.ports.items()
    else:
        was = [(name, old.ports[name]) for name in names if name in old.ports]  # type: ignore[assignment]
        now = [(name, new.ports[name]) for name in names if name in new.ports]  # type: ignore[assignment]
    return Changes(
        removed=tuple(port for name, port in was if name not in new.ports),
        applied=tuple(port for name, port in now if (had := old.ports.get(name)) is not port and had != port),
    )


def _touched(old: ServiceTable, new: ServiceTable) -> list[PortName] | None:
    """All names that can differ, where `new` is the very next table after `old`; else None."""
    before, after = old.step, new.step
    if before is None or after is None or (before.builder, before.number + 1) != (after.builder, after.number):
        return None
    return sorted(after.touched)


def growing(table: ServiceTable, step: int) -> Iterator[ServiceTable]:
    """Tables that lead to this one, each with up to `step` service ports more; at least one, this one last."""
    names = list(table.ports)
    for end in range(step, len(names), step):
        yield replace(table, ports={name: table.ports[name] for name in names[:end]}, step=None)
    yield table


def between(old: ServiceTable, new: ServiceTable, step: int) -> Iterator[ServiceTable]:
    """Tables that lead from one to the other, each with up to `step` service ports changed; the new one last."""
    difference = changes(old, new)
    names = [port.name for port in (*difference.removed, *difference.applied)]
    ports = dict(old.ports)
    for at in range(0, len(names) - step, step):
        for name in names[at : at + step]:
            ports.pop(name, None)
            if name in new.ports:
                ports[name] = new.ports[name]
        yield replace(new, ports=dict(ports), step=None)
    yield new


class TableBuilder:
    """Collects Services and EndpointSlices; `table()` recomputes only what they touched since the last call."""

    def __init__(self, node: str, node_ips: Iterable[str] = ()) -> None:
        self._node = node
        self._node_ips = tuple(node_ips)
        self._services: dict[ServiceName, Object] = {}
        self._slices: dict[ServiceName, dict[str, Object]] = defaultdict(dict)
        self._dirty: set[ServiceName] = set()
        self._names: dict[ServiceName, tuple[PortName, ...]] = {}
        self._identity, self._steps = next(_builders), 0
        self._table = ServiceTable(node, self._node_ips, step=Step(self._identity, 0, frozenset()))

    def set_node_ips(self, addresses: Iterable[str]) -> None:
        self._node_ips = tuple(addresses)

    def apply_service(self, service: Object) -> None:
        name = _name(service)
        self._services[name] = service
        self._dirty.add(name)

    def delete_service(self, service: Object) -> None:
        self._services.pop(name := _name(service), None)
        self._dirty.add(name)

    def apply_slice(self, endpoint_slice: Object) -> None:
        if (owner := _owner(endpoint_slice)) is not None:
            self._slices[owner][endpoint_slice["metadata"]["name"]] = endpoint_slice
            self._dirty.add(owner)

    def delete_slice(self, endpoint_slice: Object) -> None:
        if (owner := _owner(endpoint_slice)) is not None and owner in self._slices:
            self._slices[owner].pop(endpoint_slice["metadata"]["name"], None)
            if not self._slices[owner]:
                del self._slices[owner]
            self._dirty.add(owner)

    def table(self) -> ServiceTable:
        """The table as of now; the very same object when nothing of it changed."""
        before = self._table
        ports: dict[PortName, ServicePort] | None = None
        touched: set[PortName] = set()
        for owner in sorted(self._dirty):
            fresh = {port.name: port for port in self._ports_of(owner)}
            stale = self._names.get(owner, ())
            if len(fresh) == len(stale) and all(before.ports.get(name) == port for name, port in fresh.items()):
                continue
            ports = dict(before.ports) if ports is None else ports
            for name in stale:
                del ports[name]
            ports.update(fresh)
            touched.update(stale, fresh)
            self._names[owner] = tuple(fresh)
            if not fresh:
                del self._names[owner]
        self._dirty.clear()
        if ports is not None or self._node_ips != before.node_ips:
            self._steps += 1
            step = Step(self._identity, self._steps, frozenset(touched))
            self._table = ServiceTable(self._node, self._node_ips, before.ports if ports is None else ports, step)
        return self._table

    def _ports_of(self, owner: ServiceName) -> Iterator[ServicePort]:
        service = self._services.get(owner)
        if service is not None and is_proxied(service):
            yield from service_ports(service, self._slices.get(owner, {}).values(), self._node)


def build(node: str, node_ips: Iterable[str], services: Iterable[Object], slices: Iterable[Object]) -> ServiceTable:
    """The table of all these objects at once."""
    builder = TableBuilder(node, node_ips)
    for service in services:
        builder.apply_service(service)
    for endpoint_slice in slices:
        builder.apply_slice(endpoint_slice)
    return builder.table()


def is_proxied(service: Object) -> bool:
    """Whether kube-proxy serves it: it has a ClusterIP of its own and no other proxy claims it."""
    spec = service.get("spec") or {}
    labels = service["metadata"].get("labels") or {}
    return (
        spec.get("type") != "ExternalName"
        and spec.get("clusterIP") not in (None, "", "None")
        and PROXY_NAME_LABEL not in labels
    )


def service_ports(service: Object, slices: Iterable[Object], node: str) -> Iterator[ServicePort]:
    """The table's rows for one Service. `slices` are its EndpointSlices in any order."""
    spec = service["spec"]
    candidates = [candidate for item in slices for candidate in _candidates(item, node)]
    cluster_ips = _ipv4(spec.get("clusterIPs") or [spec["clusterIP"]])
    if not cluster_ips:
        return
    outside = spec.get("type") in ("NodePort", "LoadBalancer")
    external_local = outside and spec.get("externalTrafficPolicy") == "Local"
    for port in spec.get("ports") or ():
        protocol = port.get("protocol") or "TCP"
        if protocol not in PROTOCOLS:
            continue
        name = PortName(*_name(service), port.get("name") or "", protocol)
        mine = [item for item in candidates if item.port_name == name.port and item.protocol == protocol]
        usable = _usable(mine)
        yield ServicePort(
            name=name,
            cluster_ips=cluster_ips,
            port=int(port["port"]),
            node_port=int(port.get("nodePort") or 0) if outside else 0,
            load_balancer_ips=_ingress_ips(service),
            external_ips=_ipv4(spec.get("externalIPs") or ()),
            source_ranges=_cidrs(spec.get("loadBalancerSourceRanges") or ()),
            affinity_seconds=_affinity(spec),
            internal_local=spec.get("internalTrafficPolicy") == "Local",
            external_local=external_local,
            health_check_port=int(spec.get("healthCheckNodePort") or 0) if external_local else 0,
            endpoints=usable,
            others=_sorted({item.endpoint for item in mine}.difference(usable)),
            local_endpoints=_usable([item for item in mine if item.endpoint.local]),
        )


class _Candidate(NamedTuple):
    port_name: str
    protocol: str
    endpoint: Endpoint
    ready: bool
    serving: bool
    terminating: bool


def _candidates(endpoint_slice: Object, node: str) -> Iterator[_Candidate]:
    if endpoint_slice.get("addressType") != "IPv4":
        return
    ports = [port for port in endpoint_slice.get("ports") or () if port.get("port")]
    for endpoint in endpoint_slice.get("endpoints") or ():
        conditions = endpoint.get("conditions") or {}
        ready = conditions.get("ready") is not False
        serving = conditions.get("serving", ready) is not False
        terminating = bool(conditions.get("terminating"))
        local = endpoint.get("nodeName") == node
        for address in _ipv4(endpoint.get("addresses") or ())[:1]:
            for port in ports:
                target = Endpoint(address, int(port["port"]), local)
                protocol = port.get("protocol") or "TCP"
                yield _Candidate(port.get("name") or "", protocol, target, ready, serving, terminating)


def _usable(candidates: Iterable[_Candidate]) -> tuple[Endpoint, ...]:
    candidates = list(candidates)
    ready = {item.endpoint for item in candidates if item.ready}
    fallback = ready or {item.endpoint for item in candidates if item.serving and item.terminating}
    return _sorted(fallback)


def _sorted(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    return tuple(sorted(endpoints, key=lambda item: (_order(item.ip), item.port)))


def _order(address: str) -> int:
    return int(ipaddress.IPv4Address(address))


def _ingress_ips(service: Object) -> tuple[str, ...]:
    if service["spec"].get("type") != "LoadBalancer":
        return ()
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return _ipv4(item.get("ip") or "" for item in ingress if item.get("ipMode", "VIP") == "VIP")


def _affinity(spec: Object) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(config.get("timeoutSeconds") or DEFAULT_AFFINITY_SECONDS)


def _ipv4(addresses: Iterable[str]) -> tuple[str, ...]:
    """The canonical IPv4 addresses among them: whatever else a manifest says never reaches a rule."""
    found = []
    for address in addresses:
        try:
            found.append(str(ipaddress.IPv4Address(address)))
        except ValueError:
            continue
    return tuple(dict.fromkeys(found))


def _cidrs(ranges: Iterable[str]) -> tuple[str, ...]:
    found = []
    for text in ranges:
        try:
            found.append(str(ipaddress.IPv4Network(text.strip(), strict=False)))
        except ValueError:
            continue
    return tuple(dict.fromkeys(found))


def _name(obj: Object) -> ServiceName:
    metadata = obj["metadata"]
    return metadata["namespace"], metadata["name"]


def _owner(endpoint_slice: Object) -> ServiceName | None:
    """The Service it belongs to; None for one that names none or that another proxy manages."""
    labels = endpoint_slice["metadata"].get("labels") or {}
    service = labels.get(SERVICE_NAME_LABEL)
    return (endpoint_slice["metadata"]["namespace"], service) if service and PROXY_NAME_LABEL not in labels else None
