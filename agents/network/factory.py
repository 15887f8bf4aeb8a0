"""Which network a configuration asks for. The runtime daemon and the steward come here and see only the contracts."""

from __future__ import annotations

import os

from panal.config import ClusterConfig, NodeConfig
from panal.paths import ClusterPaths

from .loopback import LoopbackLAN, LoopbackPodNetwork
from .machine import MachineLAN
from .netns import NetnsLAN
from .podnetns import NetnsPodNetwork


def open_pod_network(config: NodeConfig) -> NetnsPodNetwork | LoopbackPodNetwork:
    """The network of the node's pods, as it was left. Call it in the node's own network namespace, if it has one."""
    from pathlib import Path

    folder = ClusterPaths(Path(config.home)).node(config.node.name).root / "network"
    if config.network != "loopback":
        return NetnsPodNetwork(config.node.pod_cidr, folder)
    return LoopbackPodNetwork(config.node.pod_cidr, folder)


def open_lan(config: ClusterConfig, paths: ClusterPaths) -> NetnsLAN | LoopbackLAN | MachineLAN:
    """The company LAN. In `netns`, call it in the cluster's network and mount namespaces; makes the bridge."""
    if config.network == "machine":
        return MachineLAN(config.pod_cidr, os.environ)
    if config.network == "netns":
        return NetnsLAN(config.lan, paths.namespaces)
    return LoopbackLAN()
