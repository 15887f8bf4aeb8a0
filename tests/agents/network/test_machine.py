"""The `machine` network with real namespaces: each stands for a machine that is a node, on one LAN."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from panal.agents.network.machine import PROTOCOL, MachineLAN, NotThisMachine, set_routes
from panal.agents.network.netlink import Netlink
from panal.agents.network.netns import NetnsLAN
from panal.agents.network.podnetns import NetnsPodNetwork

from .test_netns import at, reaches

PODS = "10.10.0.0/24"
MACHINES = {"nodoa": ("192.168.0.101", "10.10.0.64/26"), "nodob": ("192.168.0.102", "10.10.0.128/26")}


async def build(folder):
    """Two machines that become nodes, and Menchu's PC, which knows nothing of pods."""
    lan = NetnsLAN("192.168.0.0/24", folder / "netns")
    spaces = {name: await lan.add_host(name, address) for name, (address, _) in MACHINES.items()}
    spaces["menchupc"] = await lan.add_host("menchupc", "192.168.0.200")
    lan.close()
    pods = {}
    for name, (address, cidr) in MACHINES.items():
        with at(spaces[name]):
            assert (await MachineLAN(PODS, os.environ).add_node(name, address, cidr)).netns is None
            assert set_routes({c: a for n, (a, c) in MACHINES.items() if n != name}, address) == {}
            network = NetnsPodNetwork(cidr, folder / name, pool=0)
            pods[name] = await network.attach("one")
            await network.close()
    return spaces, pods


def reaches_soon(source, target):
    """A busy machine may need more than one attempt of 0.3 s."""
    return any(reaches(source, target) for _ in range(20))


def test_pods_of_two_machines_reach_each_other_and_the_nodes(inside, tmp_path):
    async def story():
        spaces, pods = await build(tmp_path)
        return [
            reaches_soon(pods["nodoa"], pods["nodob"]),
            reaches_soon(spaces["nodoa"], pods["nodob"]),
            reaches(spaces["menchupc"], pods["nodob"]),
        ]

    assert inside(story) == [True, True, False]


def test_what_a_pod_sends_to_the_lan_carries_its_nodes_address(inside, tmp_path, capability):
    if capability.netfilter is not None:
        pytest.skip(capability.netfilter)

    async def story():
        spaces, pods = await build(tmp_path)
        with at(spaces["menchupc"]):
            listener = socket.create_server(("192.168.0.200", 80))
        with listener, at(pods["nodob"]), socket.create_connection(("192.168.0.200", 80), timeout=10):
            accepted, peer = listener.accept()
            accepted.close()
        return peer[0]

    assert inside(story) == "192.168.0.102"


def test_routes_become_those_that_are_wanted_and_others_stay(inside, tmp_path):
    async def story():
        spaces, _pods = await build(tmp_path)
        with at(spaces["nodoa"]), Netlink() as netlink:
            eth0 = netlink.device_of("192.168.0.101")
            netlink.add_route("172.20.0.0", 16, index=eth0, gateway="192.168.0.200")  # somebody else's
            netlink.flush()
            before = dict(netlink.routes(PROTOCOL))
            refused = set_routes({"10.10.0.192/26": "192.168.0.103", "10.9.0.0/24": "10.1.2.3"}, "192.168.0.101")
            after = dict(netlink.routes(PROTOCOL))
            return before, after, refused, Path("/proc/thread-self/net/route").read_text().count("\n")

    before, after, refused, lines = inside(story)
    assert before == {"10.10.0.128/26": "192.168.0.102"}
    assert after == {"10.10.0.192/26": "192.168.0.103"}
    assert list(refused) == ["10.9.0.0/24"]
    assert "unreachable" in refused["10.9.0.0/24"]
    assert lines >= 4  # the heading, the LAN, 172.20.0.0, ours


def test_a_machine_is_no_host_whose_address_it_has_not(inside, tmp_path):
    async def story():
        await MachineLAN(PODS, os.environ).add_node("nodoc", "192.168.0.103", "10.10.0.192/26")

    with pytest.raises(AssertionError, match=r"NotThisMachine.*no address 192\.168\.0\.103"):
        inside(story)
    assert issubclass(NotThisMachine, OSError)
