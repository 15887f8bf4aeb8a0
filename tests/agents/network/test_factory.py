"""The configuration decides which network it is."""

from __future__ import annotations

from panal.agents.network.factory import open_lan, open_pod_network
from panal.agents.network.loopback import LoopbackLAN, LoopbackPodNetwork
from panal.clusterfile import resolve
from panal.config import NodeConfig
from panal.paths import ClusterPaths


def test_loopback_networks_live_in_the_clusters_folder(tmp_path):
    config = resolve(
        None, "-", name=None, nodes=1, network="loopback", proxy_mode="userspace", runtime="plain"
    )  # fmt: skip
    node = NodeConfig(
        "panal", config.nodes[0], "loopback", "userspace", "plain", str(tmp_path), "https://127.168.0.100:6443",
        config.dns_service_ip, config.cluster_domain, config.service_cidr, config.pod_cidr,
    )  # fmt: skip
    assert isinstance(open_lan(config, ClusterPaths(tmp_path)), LoopbackLAN)
    assert isinstance(open_pod_network(node), LoopbackPodNetwork)
    assert (tmp_path / "nodes" / "nodo1" / "network" / "assigned").is_dir()
