"""The cluster's and a node's configuration: what `cluster.yaml` says, resolved into frozen dataclasses.

`ClusterConfig` is what the user wrote plus defaults; `NodeConfig` is what one node's processes need to know and is
written as JSON beside the node's state. Both are plain data: reading them starts nothing.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

NetworkKind = Literal["netns", "loopback", "machine"]
ProxyMode = Literal["netfilter", "userspace"]
DNSPolicy = Literal["sync", "upsert-only"]
RuntimeKind = Literal["namespaces", "plain"]


@dataclass(frozen=True)
class NodeSpec:
    """One node of the cluster. Its capacity is what it is told, in quantities, and not what the machine has."""

    name: str
    address: str
    pod_cidr: str
    cpu: str = "4"
    memory: str = "10Gi"
    ephemeral_storage: str = "100Gi"
    pods: int = 110
    pod_pids_limit: int = -1
    """Processes and threads of one pod at most (kubelet's podPidsLimit); -1 for no limit."""
    control_plane: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HostSpec:
    """A host of the company LAN outside the cluster. `role` says which program it runs, if any."""

    name: str
    address: str
    role: Literal["client", "loadbalancer", "dns"] = "client"


@dataclass(frozen=True)
class Frontend:
    """A port of the external load balancer's own address, forwarded to a NodePort of every healthy node."""

    port: int
    node_port: int


@dataclass(frozen=True)
class LoadBalancerSpec:
    """The external load balancer: `addresses` are the pool it gives to Services of type LoadBalancer (first..last)."""

    name: str = "lb"
    address: str = "192.168.0.10"
    addresses: tuple[str, str] = ("192.168.0.11", "192.168.0.99")
    frontends: tuple[Frontend, ...] = (Frontend(80, 30880),)


@dataclass(frozen=True)
class ExternalDNSSpec:
    """The company's DNS server; it is authoritative for `domains` and learns their hosts from the cluster."""

    name: str = "dns"
    address: str = "192.168.0.2"
    domains: tuple[str, ...] = ("miempresa.com",)
    policy: DNSPolicy = "sync"
    """With upsert-only a name that the cluster brought stays when its object goes."""
    update_keys: Mapping[str, str] = field(default_factory=dict)
    """TSIG secrets in Base64, by name: who has one may update the zones (RFC 2136)."""


@dataclass(frozen=True)
class BlockedSpec:
    """What the forward proxy refuses: a host, `*.DOMAIN`, an address or a network; and what it says then."""

    host: str
    reason: str = "not allowed by the company"


@dataclass(frozen=True)
class ForwardProxySpec:
    """The forward proxy at the company's exit."""

    name: str = "proxy"
    address: str = "192.168.0.3"
    port: int = 3128
    blocked: tuple[BlockedSpec, ...] = ()
    tunnel_ports: tuple[int, ...] = (443,)
    """Where CONNECT may lead."""


@dataclass(frozen=True)
class IngressSpec:
    """The bundled ingress controller's Service. `enabled: false` leaves it to the user's own manifests."""

    enabled: bool = True
    cluster_ip: str | None = None
    port: int = 80
    node_port: int = 30880


@dataclass(frozen=True)
class Listen:
    """Where other machines reach this one: the API server's port, and the one that pods' traffic is relayed over."""

    address: str
    """What is bound: an address of this machine, or 0.0.0.0."""
    advertise: str
    """What others are told; it stands in the API server's certificate."""
    api_port: int = 0
    relay_port: int = 0
    vxlan: bool = False
    """Machines of root's that reach each other do so by VXLAN, unencrypted; on the UDP port of the same number."""


@dataclass(frozen=True)
class Joined:
    """This machine has one node of a cluster whose control plane is on another machine."""

    endpoint: str
    """ADDRESS:PORT of the API server, as this machine reaches it."""
    server: str
    """The API server's URL as the node reaches it."""
    home: str
    """The cluster's folder over there: the cluster's own manifests name paths below it."""
    relay_port: int = 0
    """The port at the endpoint's address that pods' traffic is relayed over; 0 where it is routed."""
    center: str = ""
    """The control plane's node, whose agent answers there."""
    vxlan: bool = False
    """See `Listen`."""


@dataclass(frozen=True)
class Alone:
    """What a machine must know that is one host of the LAN, in the `machine` network."""

    host: str
    """Its name on the LAN."""
    join: str = ""
    """A folder that the hosts share: the control plane writes there how to join, the others read it."""
    manifests: tuple[str, ...] = ()
    """Folders of manifests that the control plane applies once it is up."""
    grace: float = 0.0
    """Seconds that its pods may take to end when it is told to end; with none they are killed."""


@dataclass(frozen=True)
class ClusterConfig:
    """A whole cluster. Addresses are already those of the chosen network (127.x.y.z in `loopback`)."""

    name: str
    network: NetworkKind
    proxy_mode: ProxyMode
    runtime: RuntimeKind
    nodes: tuple[NodeSpec, ...]
    hosts: tuple[HostSpec, ...]
    lan: str = "192.168.0.0/16"
    pod_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/12"
    dns_service_ip: str = "10.96.0.10"
    cluster_domain: str = "cluster.local"
    node_ports: tuple[int, int] = (30000, 32767)
    node_monitor_grace: float = 40.0
    """Seconds of silence after which a node is NotReady."""
    load_balancer: LoadBalancerSpec = LoadBalancerSpec()
    external_dns: ExternalDNSSpec = ExternalDNSSpec()
    ingress: IngressSpec = IngressSpec()
    forward_proxy: ForwardProxySpec | None = None
    """Nobody leaves the LAN through a proxy unless one is configured."""
    api_port: int = 0
    """Port on 127.0.0.1 of this machine that leads to the API server; chosen before the cluster starts."""
    http_port: int = 0
    """Port on 127.0.0.1 of this machine that leads to the load balancer's first frontend."""
    listen: Listen | None = None
    """Where machines that join reach this one; None: nobody but this machine does."""
    joined: Joined | None = None
    """None where the control plane is here."""
    alone: Alone | None = None
    """In the `machine` network: this machine is one host of the LAN. None: all of them run here."""

    @property
    def host(self) -> str:
        """Which host of the LAN this machine is; "": all of them run here."""
        return self.alone.host if self.alone is not None else ""

    @property
    def nodes_here(self) -> tuple[NodeSpec, ...]:
        """The nodes that run on this machine."""
        return tuple(node for node in self.nodes if self.host in ("", node.name))

    @property
    def control_plane(self) -> NodeSpec:
        """The node whose static pods are the control plane; on a machine that joined, its own node."""
        return next((node for node in self.nodes if node.control_plane), self.nodes[0])

    @property
    def has_control_plane(self) -> bool:
        """Whether the control plane runs on this machine."""
        return self.joined is None and self.host in ("", self.control_plane.name)

    @property
    def kubernetes_service_ip(self) -> str:
        """The first address of the Service range: the ClusterIP of default/kubernetes."""
        return str(next(ipaddress.ip_network(self.service_cidr).hosts()))


@dataclass(frozen=True)
class NodeConfig:
    """What kubelet, runtime and network of one node need. Written to `nodes/NAME/node.json`, mode 0600."""

    cluster: str
    node: NodeSpec
    network: NetworkKind
    proxy_mode: ProxyMode
    runtime: RuntimeKind
    home: str
    """The cluster's folder; see `panal.paths.ClusterPaths`."""
    server: str
    """The API server's URL as the node reaches it, for example https://192.168.0.100:6443."""
    cluster_dns: str
    cluster_domain: str
    service_cidr: str
    cluster_pod_cidr: str
    kubelet_port: int = 10250
    resolver: str | None = None
    """The nameserver of the node itself, where the machine's own can't be reached; None: /etc/resolv.conf tells."""
    tainted: bool = True
    """The control plane's node takes no ordinary pods. False where it is the only node."""
    foreign_home: str | None = None
    """On a machine that joined: the cluster's folder over there. Host paths below it mean this machine's folder."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of the Node, when the kubelet registers it."""


def dump(config: ClusterConfig | NodeConfig) -> bytes:
    """The configuration as JSON, readable again by `load_cluster` or `load_node`."""
    return orjson.dumps(dataclasses.asdict(config), option=orjson.OPT_INDENT_2)


def load_node(path: Path) -> NodeConfig:
    """Read a NodeConfig written by `dump`. Raises OSError or ValueError."""
    raw = orjson.loads(path.read_bytes())
    return NodeConfig(**{**raw, "node": NodeSpec(**raw["node"])})


def load_cluster(path: Path) -> ClusterConfig:
    """Read a ClusterConfig written by `dump`. Raises OSError or ValueError."""
    return parse_cluster(path.read_bytes())


def parse_cluster(text: bytes) -> ClusterConfig:
    """The ClusterConfig that `dump` wrote. Raises ValueError, KeyError, TypeError."""
    raw: dict[str, Any] = orjson.loads(text)
    lb, dns, proxy = raw["load_balancer"], raw["external_dns"], raw.get("forward_proxy")
    return ClusterConfig(
        **{
            **raw,
            "nodes": tuple(NodeSpec(**node) for node in raw["nodes"]),
            "hosts": tuple(HostSpec(**host) for host in raw["hosts"]),
            "node_ports": _pair(raw["node_ports"]),
            "load_balancer": LoadBalancerSpec(
                **{
                    **lb,
                    "addresses": _pair(lb["addresses"]),
                    "frontends": tuple(Frontend(**frontend) for frontend in lb["frontends"]),
                }
            ),
            "external_dns": ExternalDNSSpec(**{**dns, "domains": tuple(dns["domains"])}),
            "ingress": IngressSpec(**raw["ingress"]),
            "forward_proxy": None if proxy is None else _forward_proxy(proxy),
            "listen": Listen(**raw["listen"]) if raw.get("listen") else None,
            "joined": Joined(**raw["joined"]) if raw.get("joined") else None,
            "alone": Alone(**{**raw["alone"], "manifests": tuple(raw["alone"]["manifests"])})
            if raw.get("alone")
            else None,
        }
    )


def _forward_proxy(raw: Mapping[str, Any]) -> ForwardProxySpec:
    blocked = tuple(BlockedSpec(**item) for item in raw["blocked"])
    return ForwardProxySpec(**{**raw, "blocked": blocked, "tunnel_ports": tuple(raw["tunnel_ports"])})


def _pair(values: Sequence[Any]) -> tuple[Any, Any]:
    first, last = values
    return first, last
