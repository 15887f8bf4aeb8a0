"""Which routes a node gets from the cluster's Nodes."""

from __future__ import annotations

from panal.agents.network.routes import changes, wanted


def node(name, address, cidr):
    addresses = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]
    return {"metadata": {"name": name}, "spec": {"podCIDR": cidr}, "status": {"addresses": addresses}}


def test_every_other_nodes_pods_lie_behind_its_address():
    nodes = [
        node("nodo1", "192.168.0.100", "10.10.0.0/26"),
        node("nodoa", "192.168.0.101", "10.10.0.64/26"),
        node("nodob", "192.168.0.102", "10.10.0.128/26"),
    ]
    assert wanted(nodes, "nodoa") == {"10.10.0.0/26": "192.168.0.100", "10.10.0.128/26": "192.168.0.102"}


def test_nodes_without_pods_or_address_and_nonsense_get_none():
    nodes = [
        node("a", "192.168.0.1", None),
        node("b", "192.168.0.1; reboot", "10.0.0.0/24"),
        node("c", "192.168.0.1", "10.0.0.1/24"),
        {"metadata": {"name": "d"}},
    ]
    assert wanted(nodes, "nodo1") == {}


def test_only_what_differs_is_changed():
    have = {"10.0.0.0/24": "192.168.0.1", "10.0.1.0/24": "192.168.0.2", "10.0.2.0/24": "192.168.0.3"}
    want = {"10.0.0.0/24": "192.168.0.1", "10.0.1.0/24": "192.168.0.9", "10.0.3.0/24": "192.168.0.4"}
    add, forget = changes(have, want)
    assert add == {"10.0.1.0/24": "192.168.0.9", "10.0.3.0/24": "192.168.0.4"}
    assert forget == ["10.0.2.0/24"]
