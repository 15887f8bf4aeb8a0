"""The smallest cluster there is, for tests that want a configuration and no more."""

from __future__ import annotations

from panal.config import ClusterConfig, NodeSpec

ONE_NODE = ClusterConfig(
    name="panal",
    network="netns",
    proxy_mode="netfilter",
    runtime="namespaces",
    nodes=(NodeSpec("nodo1", "192.168.0.100", "10.244.0.0/24", control_plane=True),),
    hosts=(),
    api_port=6443,
)
