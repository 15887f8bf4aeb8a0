"""A cluster's configuration in the `loopback` network: every address in 127/8. Pure."""

from __future__ import annotations

from dataclasses import replace

from .addresses import localize
from .config import ClusterConfig


def localized(config: ClusterConfig) -> ClusterConfig:
    """The same cluster in 127/8: the first octet of every address changes, nothing else."""
    first, last = config.load_balancer.addresses
    return replace(
        config,
        nodes=tuple(
            replace(node, address=localize(node.address), pod_cidr=localize(node.pod_cidr)) for node in config.nodes
        ),
        hosts=tuple(replace(host, address=localize(host.address)) for host in config.hosts),
        lan=localize(config.lan),
        pod_cidr=localize(config.pod_cidr),
        service_cidr=localize(config.service_cidr),
        dns_service_ip=localize(config.dns_service_ip),
        load_balancer=replace(
            config.load_balancer,
            address=localize(config.load_balancer.address),
            addresses=(localize(first), localize(last)),
        ),
        external_dns=replace(config.external_dns, address=localize(config.external_dns.address)),
        forward_proxy=config.forward_proxy
        and replace(config.forward_proxy, address=localize(config.forward_proxy.address)),
        ingress=replace(config.ingress, cluster_ip=config.ingress.cluster_ip and localize(config.ingress.cluster_ip)),
    )
