"""The files a new cluster begins with: certificates, kubeconfigs, each node's configuration, the static pods.

Runs in a process of its own while the LAN is built and the components' modules are imported: making keys takes a
library that the steward never needs again.
"""

from __future__ import annotations

import datetime
import os

import orjson

from panal import pki, staticpods
from panal.config import ClusterConfig, NodeConfig, dump
from panal.kubeconfig import write_private
from panal.paths import ClusterPaths


def prepare(config: ClusterConfig, paths: ClusterPaths) -> None:
    """Write everything that this machine's nodes need. Raises OSError."""
    for node in config.nodes_here:
        paths.node(node.name).manifests.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths.run.mkdir(exist_ok=True, mode=0o700)
    if config.joined is not None:
        return  # what there is was written by `panal node join`
    if config.host not in ("", config.control_plane.name):
        from .alone import meeting

        meeting.enrol(config, paths)
        return
    for node in config.nodes_here:
        place = paths.node(node.name)
        write_private(place.config, dump(node_config(config, paths, node.name)))
    if not (paths.pki / "apiserver.crt").exists():  # a node alone, started again, keeps them
        pki.create(config, paths, datetime.datetime.now(datetime.UTC))
    for pod in staticpods.control_plane(config, paths):
        file = paths.node(config.control_plane.name).manifests / f"{pod['metadata']['name']}.json"
        write_private(file, orjson.dumps(pod, option=orjson.OPT_INDENT_2))


def node_config(config: ClusterConfig, paths: ClusterPaths, name: str) -> NodeConfig:
    """What the processes of one node need to know."""
    return NodeConfig(
        cluster=config.name,
        node=next(node for node in config.nodes if node.name == name),
        network=config.network,
        proxy_mode=config.proxy_mode,
        runtime=config.runtime,
        home=os.fspath(paths.root),
        server=pki.node_server(config),
        cluster_dns=config.dns_service_ip,
        cluster_domain=config.cluster_domain,
        service_cidr=config.service_cidr,
        cluster_pod_cidr=config.pod_cidr,
        tainted=len(config.nodes) > 1,
        resolver=config.external_dns.address if config.network != "loopback" else None,
    )
