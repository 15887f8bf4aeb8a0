"""The agent's command line: `panal-relay FOLDER`, the cluster's folder on this machine."""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from pathlib import Path

from panal import log
from panal.client import Client
from panal.config import ClusterConfig, load_cluster
from panal.paths import ClusterPaths
from panal.tasks import run_until_signal

from . import switch
from .agent import Agent, Place
from .link import client_context, server_context
from .tap import open_tap

STEWARDS_NETWORK = "/proc/1/ns/net"
"""The namespace that holds the LAN's bridge: the steward is process 1."""

_log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Run until SIGTERM."""
    paths = ClusterPaths(Path(argv[0]))
    log.setup("relay")
    config = load_cluster(paths.config)
    tap = open_tap(STEWARDS_NETWORK)
    return run_until_signal(lambda: _run(config, paths, tap))


async def _run(config: ClusterConfig, paths: ClusterPaths, tap: object) -> None:
    import socket

    assert isinstance(tap, socket.socket)
    kubeconfig = paths.node(config.control_plane.name).kubeconfig
    async with Client.from_kubeconfig(kubeconfig, user_agent="panal-relay") as client:
        agent = Agent(place(config, paths), tap, client)
        async with asyncio.TaskGroup() as group:
            group.create_task(agent.run(contexts(config, paths)), name="relay")
            if config.joined is not None:
                from panal.agents.join.renew import keep_renewed

                group.create_task(keep_renewed(client, config, paths), name="renew certificates")


def contexts(config: ClusterConfig, paths: ClusterPaths) -> Callable[[], ssl.SSLContext]:
    """Made anew for each connection of a node whose certificates are renewed."""
    folder = paths.node(config.control_plane.name).root / "pki"
    authority = paths.pki / "ca.crt"
    if config.joined is None:
        return lambda: server_context(authority, folder / "kubelet.crt", folder / "kubelet.key")
    return lambda: client_context(authority, folder / "kubelet-client.crt", folder / "kubelet-client.key")


def place(config: ClusterConfig, paths: ClusterPaths) -> Place:
    """Who is on this machine."""
    hosts = {node.name: (node.address, str(paths.namespaces / node.name)) for node in config.nodes}
    here = {node.address for node in config.nodes}
    nodes = frozenset(node.name for node in config.nodes)
    speaker = config.control_plane
    own = (speaker.name, switch.packed(speaker.address))
    if config.joined is not None:
        host, _, _ = config.joined.endpoint.rpartition(":")
        uplink = (host, config.joined.relay_port)
        vxlan = (STEWARDS_NETWORK, config.joined.relay_port) if config.joined.vxlan else None
        center = config.joined.center
        return Place(paths.edge_socket, hosts, _packed(here), nodes, uplink=uplink, center=center, own=own, vxlan=vxlan)
    dns, balancer = config.external_dns, config.load_balancer
    hosts[dns.name] = (dns.address, str(paths.namespaces / dns.name))
    here |= {host.address for host in config.hosts} | {dns.address, balancer.address}
    first, last = (int(IPv4Address(address)) for address in balancer.addresses)
    pools = (switch.Pool(first, last, switch.packed(balancer.address)),)
    listen = config.listen
    direct = (STEWARDS_NETWORK, listen.relay_port) if listen is not None and listen.vxlan else None
    underlay = listen.advertise if listen is not None else ""
    return Place(
        paths.edge_socket, hosts, _packed(here), nodes, pools,
        center=own[0], own=own, underlay=underlay, vxlan=direct,
    )  # fmt: skip


def _packed(addresses: set[str]) -> frozenset[bytes]:
    return frozenset(map(switch.packed, addresses))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
