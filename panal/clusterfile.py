"""cluster.yaml: what a user says about a cluster, checked, completed and resolved into a `ClusterConfig`.

Pure but for `read`. Every error names the file, the field by its path, the reason and the way out, and unknown fields
are errors: a misspelt setting that is ignored costs more than a sentence.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import cast

from .clustercheck import complaints
from .clusterdefaults import default_nodes, divide
from .clusterfields import DOMAIN, ClusterFileError, Fields, Section, shown
from .clusterlocal import localized
from .config import (
    BlockedSpec,
    ClusterConfig,
    DNSPolicy,
    ExternalDNSSpec,
    ForwardProxySpec,
    Frontend,
    HostSpec,
    IngressSpec,
    LoadBalancerSpec,
    NetworkKind,
    NodeSpec,
    ProxyMode,
    RuntimeKind,
)
from .durations import seconds

API_VERSION, KIND = "panal.dev/v1", "Cluster"
LIMIT = 1 << 20
"""Bytes of a cluster.yaml that are read at most."""
DEPTH = 50
"""Levels of lists and mappings in it at most."""
MAX_NODES = 200
MIN_GRACE = 12.0
"""Seconds: a living node speaks every 10."""
CLUSTER_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
BLOCKED = re.compile(r"(\*\.)?" + DOMAIN.pattern + r"|[0-9.]{7,15}(/[0-9]{1,2})?")
PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")

_TOP = ("apiVersion", "kind", "metadata", "spec")
FIELDS = (
    "network", "proxyMode", "runtime", "lan", "podCIDR", "serviceCIDR", "dnsServiceIP", "clusterDomain",
    "nodePortRange", "nodes", "hosts", "loadBalancer", "externalDNS", "ingress", "edge", "forwardProxy",
    "nodeMonitorGracePeriod",
)  # fmt: skip


def read(path: Path) -> Section:
    """The file's document. Raises ClusterFileError."""
    import yaml

    try:
        with path.open("rb") as file:
            raw = file.read(LIMIT + 1)
    except OSError as error:
        raise ClusterFileError(
            f"{path} can't be read: {error.strerror}; name an existing file with --config."
        ) from error
    if len(raw) > LIMIT:
        raise ClusterFileError(f"{path} is larger than 1 MiB; a cluster's configuration is a few KiB.")
    try:
        _check_depth(raw, path)
        document = yaml.load(raw, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except ClusterFileError:
        raise
    except Exception as error:  # PyYAML lets many kinds through: of a date that is none, a number too long, ...
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        what = getattr(error, "problem", None) or f"the text is not YAML ({' '.join(str(error).split())[:100]})"
        raise ClusterFileError(f"{path}{line}: {what}; correct the YAML there.") from error
    if not isinstance(document, dict):
        raise ClusterFileError(f"{path}: no cluster stands here; write `apiVersion: {API_VERSION}` and `kind: {KIND}`.")
    return document


def _check_depth(raw: bytes, path: Path) -> None:
    """The C loader calls itself for each level, and nothing stops it but the end of its stack."""
    import yaml

    depth = 0
    for event in yaml.parse(raw, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise ClusterFileError(f"{path}: more than {DEPTH} levels; a cluster's configuration has five.")


def resolve(
    document: Section | None,
    source: str,
    *,
    name: str | None,
    nodes: int | None,
    network: NetworkKind,
    proxy_mode: ProxyMode,
    runtime: RuntimeKind,
) -> ClusterConfig:
    """The document (None: nothing but defaults) as a configuration for the chosen network. Raises ClusterFileError.

    `name` and `nodes` are what the command line says, and win. `source` is the file's name, for messages.
    """
    return _Reader(source).cluster(document or {}, name, nodes, network, proxy_mode, runtime)


def name_of(document: Section | None, source: str, name: str | None = None) -> str:
    """The cluster's name, known before the rest is resolved. Raises ClusterFileError."""
    return _Reader(source).name(document or {}, name)


def wishes(document: Section | None, source: str) -> tuple[str, str, str]:
    """What the document asks for: network, proxy mode and runtime, each a kind or `auto`. Raises ClusterFileError."""
    reader = _Reader(source)
    spec = reader.mapping(document or {}, "spec", "")
    return (
        reader.choice(spec, "network", "spec", ("auto", "netns", "loopback"), "auto"),
        reader.choice(spec, "proxyMode", "spec", ("auto", "netfilter", "userspace"), "auto"),
        reader.choice(spec, "runtime", "spec", ("auto", "namespaces", "plain"), "auto"),
    )


def _is_label(key: object, value: object) -> bool:
    """Whether the API server would take it (labels.Set's rules)."""
    if not isinstance(key, str) or not isinstance(value, str):
        return False
    prefix, slash, name = key.rpartition("/")
    good_prefix = not slash or (len(prefix) <= 253 and DOMAIN.fullmatch(prefix) is not None)
    return good_prefix and LABEL_NAME.fullmatch(name) is not None and (not value or bool(LABEL_NAME.fullmatch(value)))


NODE_FIELDS = (
    "name", "address", "cpu", "memory", "ephemeralStorage", "pods", "podPidsLimit", "controlPlane", "labels"
)  # fmt: skip


class _Reader(Fields):
    """The configuration's sections, each from its fields."""

    def cluster(
        self,
        document: Section,
        name: str | None,
        count: int | None,
        network: NetworkKind,
        proxy_mode: ProxyMode,
        runtime: RuntimeKind,
    ) -> ClusterConfig:
        spec = self._head(document)
        pod_cidr = self.cidr(spec, "podCIDR", "10.244.0.0/16")
        config = ClusterConfig(
            name=self.name(document, name),
            network=network,
            proxy_mode=proxy_mode,
            runtime=runtime,
            nodes=self._nodes(spec, count, pod_cidr),
            hosts=self._hosts(spec),
            lan=self.cidr(spec, "lan", "192.168.0.0/16"),
            pod_cidr=pod_cidr,
            service_cidr=self.cidr(spec, "serviceCIDR", "10.96.0.0/12"),
            dns_service_ip="",
            cluster_domain=self.domain(spec, "clusterDomain", "spec", "cluster.local"),
            node_ports=self._range(spec),
            node_monitor_grace=self._grace(spec),
            load_balancer=self._load_balancer(spec),
            external_dns=self._external_dns(spec),
            ingress=self._ingress(spec),
            forward_proxy=self._forward_proxy(spec),
            api_port=self._edge(spec, "apiPort"),
            http_port=self._edge(spec, "httpPort"),
        )
        services = IPv4Network(config.service_cidr)
        tenth = str(services[min(10, services.num_addresses - 1)])
        config = replace(config, dns_service_ip=self.address(spec, "dnsServiceIP", "spec", tenth))
        self._check(config)
        if network == "loopback":
            config = localized(config)
            self._check(config)
        return config

    def name(self, document: Section, name: str | None) -> str:
        """The cluster's: `name` if given, else what the document says."""
        metadata = self.mapping(document, "metadata", "")
        self.known(metadata, "metadata", ("name",))
        chosen = self.text(metadata, "name", "metadata", "panal") if name is None else name
        if not CLUSTER_NAME.fullmatch(chosen):
            raise self.fail(
                "metadata.name" if name is None else "--name",
                f"{shown(chosen)} is no cluster name",
                "use at most 32 lower-case letters, digits and hyphens",
            )
        return chosen

    def _head(self, document: Section) -> Section:
        self.known(document, "", _TOP)
        if document:
            for field, wanted in (("kind", KIND), ("apiVersion", API_VERSION)):
                if document.get(field) != wanted:
                    raise self.fail(field, f"is {shown(document.get(field))}", f"write `{field}: {wanted}`")
        spec = self.mapping(document, "spec", "")
        self.known(spec, "spec", FIELDS)
        return spec

    def _grace(self, spec: Section) -> float:
        text = self.text(spec, "nodeMonitorGracePeriod", "spec", "40s")
        try:
            found = seconds(text)
        except ValueError:
            found = 0.0
        if not MIN_GRACE <= found <= 3600:
            raise self.fail(
                "spec.nodeMonitorGracePeriod",
                f"is {shown(text)}",
                "a node speaks every 10 s: give it 12s at least, 1h at most",
            )
        return found

    def _nodes(self, spec: Section, count: int | None, pod_cidr: str) -> tuple[NodeSpec, ...]:
        items = self.items(spec, "nodes")
        if count is not None and not 1 <= count <= MAX_NODES:
            raise self.fail("--nodes", f"is {count}", f"a cluster has 1 to {MAX_NODES}")
        if items is None:
            items = [(f"spec.nodes[{index}]", node) for index, node in enumerate(default_nodes(count or 4))]
        elif count is not None and count != len(items):
            raise self.fail(
                "spec.nodes", f"lists {len(items)} nodes, --nodes says {count}", "leave one of the two away"
            )
        if not 1 <= len(items) <= MAX_NODES:
            raise self.fail("spec.nodes", f"are {len(items)}", f"a cluster has 1 to {MAX_NODES}")
        masters = [path for path, item in items if self.flag(item, "controlPlane", path, False)]
        if len(masters) > 1:
            raise self.fail(f"{masters[1]}.controlPlane", "a second control plane", "let it be true for one node only")
        try:
            parts = divide(IPv4Network(pod_cidr), len(items))
        except ValueError as error:
            raise self.fail("spec.podCIDR", str(error), "choose a wider network, or fewer nodes") from None
        return tuple(
            self._node(
                item, path, str(part), masters[0] == path if masters and len(set(p for p, _ in items)) > 1 else i == 0
            )
            for i, ((path, item), part) in enumerate(zip(items, parts, strict=True))
        )

    def _node(self, item: Section, path: str, pod_cidr: str, control_plane: bool) -> NodeSpec:
        self.known(item, path, NODE_FIELDS)
        labels = self.mapping(item, "labels", path)
        for key, value in labels.items():
            if not _is_label(key, value):
                reason = f"{shown(key)}: {shown(value)} is no label"
                raise self.fail(f"{path}.labels", reason, 'write one such as `disk: "ssd"`, at most 63 characters each')
        return NodeSpec(
            name=self.host_name(item, path),
            address=self.address(item, "address", path),
            pod_cidr=pod_cidr,
            cpu=self.quantity(item, "cpu", path, "4"),
            memory=self.quantity(item, "memory", path, "10Gi"),
            ephemeral_storage=self.quantity(item, "ephemeralStorage", path, "100Gi"),
            pods=self.number(item, "pods", path, 1, 10000, 110),
            pod_pids_limit=self.number(item, "podPidsLimit", path, -1, 4194304, -1),
            control_plane=control_plane,
            labels=dict(labels),
        )

    def _hosts(self, spec: Section) -> tuple[HostSpec, ...]:
        items = self.items(spec, "hosts")
        if items is None:
            return (HostSpec("menchupc", "192.168.0.200"),)
        hosts = []
        for path, item in items:
            self.known(item, path, ("name", "address"))
            hosts.append(HostSpec(self.host_name(item, path), self.address(item, "address", path)))
        return tuple(hosts)

    def _load_balancer(self, spec: Section) -> LoadBalancerSpec:
        section, path, default = self.mapping(spec, "loadBalancer", "spec"), "spec.loadBalancer", LoadBalancerSpec()
        self.known(section, path, ("name", "address", "addresses", "frontends"))
        frontends = default.frontends
        if (listed := section.get("frontends")) is not None:
            if not isinstance(listed, list):
                raise self.fail(f"{path}.frontends", "is not a list", "begin each item with a hyphen")
            found = []
            for index, item in enumerate(listed):
                place = f"{path}.frontends[{index}]"
                if not isinstance(item, dict):
                    raise self.fail(place, "is not a mapping", "write `port:` and `nodePort:`")
                self.known(item, place, ("port", "nodePort"))
                found.append(
                    Frontend(self.number(item, "port", place, 1, 65535), self.number(item, "nodePort", place, 1, 65535))
                )
            frontends = tuple(found)
        return LoadBalancerSpec(
            self.host_name(section, path, default.name),
            self.address(section, "address", path, default.address),
            self._pool(section, path, default.addresses),
            frontends,
        )

    def _pool(self, section: Section, path: str, default: tuple[str, str]) -> tuple[str, str]:
        first, dash, last = self.text(section, "addresses", path, "-".join(default)).replace(" ", "").partition("-")
        try:
            if dash and IPv4Address(first) <= IPv4Address(last):
                return first, last
        except ValueError:
            pass
        raise self.fail(f"{path}.addresses", "is no range of addresses", "write `192.168.0.11-192.168.0.99`")

    def _external_dns(self, spec: Section) -> ExternalDNSSpec:
        section, path, default = self.mapping(spec, "externalDNS", "spec"), "spec.externalDNS", ExternalDNSSpec()
        self.known(section, path, ("name", "address", "domains", "policy", "updateKeys"))
        domains = section.get("domains", list(default.domains))
        if not isinstance(domains, list):
            raise self.fail(f"{path}.domains", "is not a list", "write `[miempresa.com]`")
        if not domains:
            raise self.fail(f"{path}.domains", "is empty", "name at least one domain, for example miempresa.com")
        return ExternalDNSSpec(
            self.host_name(section, path, default.name),
            self.address(section, "address", path, default.address),
            tuple(self.check_domain(domain, f"{path}.domains[{index}]") for index, domain in enumerate(domains)),
            cast("DNSPolicy", self.choice(section, "policy", path, ("sync", "upsert-only"), default.policy)),
            dict(self._update_key(item, place) for place, item in self.items(section, "updateKeys", path) or ()),
        )

    def _update_key(self, item: Section, path: str) -> tuple[str, str]:
        """A TSIG key of hmac-sha256 or whatever a client signs with."""
        self.known(item, path, ("name", "secret"))
        name = self.check_domain(item.get("name"), f"{path}.name")
        try:
            if base64.b64decode(self.text(item, "secret", path, ""), validate=True):
                return name, self.text(item, "secret", path, "")
        except binascii.Error:
            pass
        raise self.fail(f"{path}.secret", "is no secret in Base64", "take one from `openssl rand -base64 32`")

    def _ingress(self, spec: Section) -> IngressSpec:
        section, path, default = self.mapping(spec, "ingress", "spec"), "spec.ingress", IngressSpec()
        self.known(section, path, ("enabled", "clusterIP", "port", "nodePort"))
        return IngressSpec(
            self.flag(section, "enabled", path, default.enabled),
            self.address(section, "clusterIP", path) if section.get("clusterIP") is not None else None,
            self.number(section, "port", path, 1, 65535, default.port),
            self.number(section, "nodePort", path, 1, 65535, default.node_port),
        )

    def _forward_proxy(self, spec: Section) -> ForwardProxySpec | None:
        if spec.get("forwardProxy") is None:
            return None
        section, path, default = self.mapping(spec, "forwardProxy", "spec"), "spec.forwardProxy", ForwardProxySpec()
        self.known(section, path, ("name", "address", "port", "blocked", "connectPorts"))
        ports = section.get("connectPorts", list(default.tunnel_ports))
        if not isinstance(ports, list):
            raise self.fail(f"{path}.connectPorts", "is not a list", "write `[443]`")
        return ForwardProxySpec(
            self.host_name(section, path, default.name),
            self.address(section, "address", path, default.address),
            self.number(section, "port", path, 1, 65535, default.port),
            tuple(self._blocked(item, place) for place, item in self.items(section, "blocked", path) or ()),
            tuple(
                self.number({str(i): port}, str(i), f"{path}.connectPorts", 1, 65535) for i, port in enumerate(ports)
            ),
        )

    def _blocked(self, item: Section, path: str) -> BlockedSpec:
        self.known(item, path, ("host", "reason"))
        host = self.text(item, "host", path).lower()
        if not BLOCKED.fullmatch(host):
            raise self.fail(
                f"{path}.host", f"{shown(host)} is no host", "write one such as *.example.com or 10.0.0.0/8"
            )
        return BlockedSpec(host, self.text(item, "reason", path, BlockedSpec.reason))

    def _edge(self, spec: Section, field: str) -> int:
        section = self.mapping(spec, "edge", "spec")
        self.known(section, "spec.edge", ("apiPort", "httpPort"))
        return self.number(section, field, "spec.edge", 0, 65535, 0)

    def _range(self, spec: Section) -> tuple[int, int]:
        value = spec.get("nodePortRange", "30000-32767")
        match = PORTS.fullmatch(value) if isinstance(value, str) else None
        if match and 0 < int(match[1]) <= int(match[2]) < 65536:
            return int(match[1]), int(match[2])
        raise self.fail("spec.nodePortRange", f"{shown(value)} is no range of ports", "write one such as 30000-32767")

    def _check(self, config: ClusterConfig) -> None:
        for path, reason, way_out in complaints(config):
            raise self.fail(path, reason, way_out)
