"""Which nodes may connect, and which routes lead to their pods."""

from __future__ import annotations

from typing import Any

import pytest

from panal.addresses import LAN_ADDRESS
from panal.agents.relay import world
from panal.agents.relay.link import node_of
from panal.agents.relay.switch import packed

HERE = [packed("192.168.0.100")]


def node(name: str, address: str | None, cidr: str = "10.244.5.0/24", at: str = "2026-01-01T00:00:00Z") -> Any:
    annotations = {} if address is None else {LAN_ADDRESS: address}
    status = {"addresses": [{"type": "InternalIP", "address": address or "192.168.0.100"}]}
    meta = {"name": name, "annotations": annotations, "creationTimestamp": at}
    return {"metadata": meta, "spec": {"podCIDR": cidr}, "status": status}


def test_a_node_of_the_cluster_may_connect():
    laptop = node("laptop", "192.168.0.104")
    assert world.refusal(laptop, "laptop", HERE, [laptop]) is None


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "it was removed"),
        (node("laptop", None), "has no address"),
        (node("laptop", "nonsense"), "has no address"),
        (node("laptop", "192.168.0.100"), "another host's"),
        (node("laptop", "192.168.0.105", at="2026-02-01T00:00:00Z"), "that of the node 'elder'"),
    ],
)
def test_a_node_that_may_not_connect_is_told_why(found: Any, why: str):
    elder = node("elder", "192.168.0.105")
    said = world.refusal(found, "laptop", HERE, [elder, *([found] if found else [])])
    assert said is not None
    assert why in said


def test_pods_elsewhere_are_routed_by_way_of_their_node():
    nodes = [node("nodo1", None, "10.244.0.0/24"), node("laptop", "192.168.0.104")]
    assert world.routes(nodes, "nodo1", {"nodo1"}) == {"10.244.5.0/24": "192.168.0.104"}
    assert world.routes(nodes, "laptop", {"laptop"}) == {"10.244.0.0/24": "192.168.0.100"}


@pytest.mark.parametrize(
    ("names", "groups", "found"),
    [
        (["system:node:laptop"], ["system:nodes"], "laptop"),
        (["system:node:laptop"], ["devs"], None),
        (["kubernetes-admin"], ["system:masters"], None),
        ([], ["system:nodes"], None),
    ],
)
def test_only_nodes_certificates_count(names: list[str], groups: list[str], found: str | None):
    subject = [(("organizationName", group),) for group in groups] + [(("commonName", name),) for name in names]
    assert node_of({"subject": tuple(subject)}) == found
    assert node_of(None) is None
