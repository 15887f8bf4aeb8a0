"""What is checked of a whole configuration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from panal.clustercheck import complaints
from panal.clusterfile import resolve
from panal.config import ClusterConfig, Frontend, IngressSpec, LoadBalancerSpec


def config(network="netns", **changes) -> ClusterConfig:
    usual = resolve(None, "-", name=None, nodes=3, network=network, proxy_mode="userspace", runtime="plain")
    return replace(usual, **changes)


@pytest.mark.parametrize("network", ["netns", "loopback"])
def test_the_usual_cluster_is_without_complaint(network):
    assert list(complaints(config(network))) == []


def test_every_complaint_is_made_in_the_order_of_the_file():
    wrong = config(
        pod_cidr="10.96.0.0/16",
        load_balancer=LoadBalancerSpec(addresses=("192.168.0.100", "192.168.0.101"), frontends=(Frontend(1, 2),) * 2),
        dns_service_ip="10.96.0.1",
        ingress=IngressSpec(cluster_ip="10.96.0.1", node_port=80),
    )
    assert [place for place, _, _ in complaints(wrong)] == [
        "spec.serviceCIDR",
        "spec.loadBalancer.addresses",
        "spec.loadBalancer.addresses",
        "spec.dnsServiceIP",
        "spec.ingress.clusterIP",
        "spec.ingress.nodePort",
        "spec.loadBalancer.frontends[1].port",
    ]


def test_the_machines_own_network_is_for_loopback_only():
    (place, reason, _), *_ = complaints(config(pod_cidr="127.244.0.0/16"))
    assert place == "spec.podCIDR"
    assert "127.0.0.0/8 is every host's own" in reason
