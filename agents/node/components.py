"""What the steward runs, and where: a table, made from the configuration alone. Pure.

The order is the order of starting: the control plane's node first, as everything waits for the API server.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from panal.bundled import BUNDLED
from panal.config import ClusterConfig
from panal.paths import ClusterPaths

RUNTIME = "panal.agents.runtime.__main__:main"
KUBELET = "panal.agents.kubelet.__main__:main"
LOAD_BALANCER = "panal.proxy.loadbalancer.__main__:main"
EXTERNAL_DNS = "panal.controlplane.dns.external.__main__:main"
FORWARD_PROXY = "panal.proxy.exit.__main__:main"
NETWORK = "panal.agents.network.__main__:main"
RELAY = "panal.agents.relay.__main__:main"
WATCH = "panal.agents.join.watch:main"
BRING_UP = "panal.agents.node.bringup:main"


@dataclass(frozen=True)
class Component:
    """One process to keep running. Its output goes to logs/NAME.log."""

    name: str
    title: str
    """The program's name, as ps shows it."""
    entry: str
    """`module:function`, called with the arguments."""
    arguments: tuple[str, ...]
    host: str
    """The host of the LAN, or node, it runs on."""
    early: bool = False
    """It is started by the early spawner, which has imported less."""
    waits: bool = False
    """It is a client of the API alone: it is started once the API answers."""
    once: bool = False
    """It ends by itself when its work is done: an exit code of 0 is no reason to start it again."""


def modules() -> list[str]:
    """The modules that the processes of the control plane begin with."""
    names = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    return [_module(entry) for entry in (RUNTIME, KUBELET, *(BUNDLED[f"panal/{name}"] for name in names))]


def later_modules() -> list[str]:
    """Those that the others begin with."""
    entries = [BRING_UP, *BUNDLED.values(), LOAD_BALANCER, EXTERNAL_DNS]  # not NETWORK: few clusters have it
    return [module for module in map(_module, entries) if module not in modules()]


def modules_of(config: ClusterConfig, paths: ClusterPaths) -> list[str]:
    """Those of a host that is alone on its machine, where the control plane is elsewhere."""
    entries = [component.entry for component in components(config, paths)]
    pods = [entry for entry in BUNDLED.values() if _module(entry) not in modules()] if RUNTIME in entries else []
    return list(map(_module, [*entries, *pods]))


def _module(entry: str) -> str:
    return entry.partition(":")[0]


def components(config: ClusterConfig, paths: ClusterPaths) -> Sequence[Component]:
    """All that run on this machine, in the order of starting."""
    found = _all(config, paths)
    return [component for component in found if config.host in ("", component.host)]


def _joined(config: ClusterConfig, paths: ClusterPaths) -> list[Component]:
    """Those of a machine that has one node of a cluster elsewhere."""
    node = config.nodes[0].name
    file = (f"--config={paths.node(node).config}",)
    return [
        _relay(paths, node),
        _runtime(f"runtime-{node}", paths, [node]),
        Component(f"kubelet-{node}", "kubelet", KUBELET, file, node),
        Component("watch", "panal-watch", WATCH, (str(paths.root),), node, once=True),
    ]


def _runtime(name: str, paths: ClusterPaths, nodes: Sequence[str], *, early: bool = False) -> Component:
    """One for several nodes of this machine. It starts in the first's network, and enters the others' by itself."""
    files = tuple(f"--config={paths.node(node).config}" for node in nodes)
    return Component(name, "panal-runtime", RUNTIME, files, nodes[0], early)


def _runtimes(config: ClusterConfig, paths: ClusterPaths) -> Sequence[Component]:
    """The control plane's node has one of its own: its containers come of a spawner that has imported less, the
    others' of one that has imported what they run."""
    first = config.control_plane.name
    here = [node.name for node in config.nodes if config.host in ("", node.name)]
    others = [node for node in here if node != first]
    found = [_runtime(f"runtime-{first}", paths, [first], early=True)] if first in here else []
    if others:
        found.append(_runtime("runtime-workers" if len(others) > 1 else f"runtime-{others[0]}", paths, others))
    return found


def _relay(paths: ClusterPaths, node: str) -> Component:
    return Component("relay", "panal-relay", RELAY, (str(paths.root),), node)


def _all(config: ClusterConfig, paths: ClusterPaths) -> list[Component]:
    if config.joined is not None:
        return _joined(config, paths)
    first = config.control_plane
    nodes = [first, *(node for node in config.nodes if node.name != first.name)]
    runtimes = {runtime.host: runtime for runtime in _runtimes(config, paths)}
    found: list[Component] = []
    for node in nodes:
        file = str(paths.node(node.name).config)
        early = node.name == first.name
        grace = (f"--shutdown-grace-period={config.alone.grace:g}s",) if config.alone is not None else ()
        found += [runtimes[node.name]] if node.name in runtimes else []
        found.append(
            Component(f"kubelet-{node.name}", "kubelet", KUBELET, (f"--config={file}", *grace), node.name, early)
        )
        if config.network == "machine":
            found.append(Component(f"network-{node.name}", "panal-network", NETWORK, (f"--config={file}",), node.name))
        if early:
            found.append(Component("bring-up", "panal-bring-up", BRING_UP, (str(paths.root),), node.name, once=True))
    if config.listen is not None and config.network == "netns":
        found.append(dataclasses.replace(_relay(paths, first.name), waits=True))
    return [*found, _external_dns(config, paths), _load_balancer(config, paths), *_forward_proxy(config, paths)]


def _load_balancer(config: ClusterConfig, paths: ClusterPaths) -> Component:
    arguments = (
        f"--kubeconfig={paths.root / 'lb.conf'}",
        f"--config={paths.config}",
        *((f"--edge-socket={paths.edge_socket}",) if config.network != "machine" else ()),
        f"--trace-socket={paths.balancer_socket}",
    )
    name = config.load_balancer.name
    return Component("lb", "load-balancer", LOAD_BALANCER, arguments, name, waits=True)


def _forward_proxy(config: ClusterConfig, paths: ClusterPaths) -> Sequence[Component]:
    """Only where one is configured. It needs nothing of the cluster."""
    if config.forward_proxy is None:
        return ()
    arguments = (f"--config={paths.config}",)
    return [Component("proxy", "forward-proxy", FORWARD_PROXY, arguments, config.forward_proxy.name, waits=True)]


def _external_dns(config: ClusterConfig, paths: ClusterPaths) -> Component:
    dns = config.external_dns
    arguments = [f"--kubeconfig={paths.root / 'dns.conf'}", f"--address={dns.address}"]
    arguments += [f"--domain={domain}" for domain in dns.domains]
    arguments += [f"--record={name}.{domain}={address}" for name, address in hosts(config) for domain in dns.domains]
    arguments.append(f"--record=*.apps.{dns.domains[0]}={config.load_balancer.address}")
    if config.network == "netns":
        arguments.append("--isolated")
    if dns.update_keys:
        arguments += [f"--update-config={paths.config}", f"--update-file={paths.root / 'dns-updates.json'}"]
    if dns.policy != "sync":
        arguments.append(f"--policy={dns.policy}")
    return Component("dns", "external-dns", EXTERNAL_DNS, tuple(arguments), dns.name, waits=True)


def hosts(config: ClusterConfig) -> list[tuple[str, str]]:
    """Everybody on the LAN: (name, address)."""
    nodes = [(node.name, node.address) for node in config.nodes]
    if config.joined is not None:
        return nodes
    return [
        *nodes,
        *((host.name, host.address) for host in config.hosts),
        (config.load_balancer.name, config.load_balancer.address),
        (config.external_dns.name, config.external_dns.address),
        *((proxy.name, proxy.address) for proxy in (config.forward_proxy,) if proxy is not None),
    ]
