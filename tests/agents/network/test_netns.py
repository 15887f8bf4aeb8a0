"""The company LAN and pods' networks with real namespaces: who reaches whom, and what is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time

import pytest

from panal.agents.network.netlink import Netlink, inside, new_namespace
from panal.agents.network.netns import NetnsLAN, device, link_address
from panal.agents.network.podnetns import NetnsPodNetwork

NODES = {"nodo1": "192.168.0.100", "nodoa": "192.168.0.101", "nodob": "192.168.0.102"}


async def build(folder):
    """Three nodes, Menchu's PC and the company's DNS."""
    lan = NetnsLAN("192.168.0.0/16", folder / "netns")
    spaces = {}
    for index, (name, address) in enumerate(NODES.items()):
        spaces[name] = await lan.add_node(name, address, f"10.10.0.{64 * index}/26")
    spaces["menchupc"] = await lan.add_host("menchupc", "192.168.0.200")
    spaces["dns"] = await lan.add_host("dns", "192.168.0.2", reaches_pods=True)
    lan.close()
    return spaces


@contextlib.contextmanager
def at(space):
    fd = os.open(space.netns, os.O_RDONLY)
    try:
        with inside(fd):
            yield
    finally:
        os.close(fd)


def reaches(source, target) -> bool:
    """Whether a TCP connection from one space to another one's port 80 is made, and by the source's own address."""
    with at(target):
        listener = socket.create_server((target.address, 80))
    with listener, at(source), socket.socket() as client:
        client.settimeout(0.3)
        try:
            client.connect((target.address, 80))
        except OSError:
            return False
        accepted, peer = listener.accept()
        accepted.close()
        return peer[0] == source.address


def test_hosts_of_the_lan_reach_each_other_but_not_the_pods(inside, tmp_path):
    async def story():
        spaces = await build(tmp_path)
        pods = {}
        for index, node in enumerate(NODES):
            with at(spaces[node]):
                network = NetnsPodNetwork(f"10.10.0.{64 * index}/26", tmp_path / node, pool=0)
                pods[node] = [await network.attach("one"), await network.attach("two")]
                await network.close()
        one, two, far = pods["nodoa"][0], pods["nodoa"][1], pods["nodob"][0]
        pairs = {
            "PC to node": (spaces["menchupc"], spaces["nodoa"]),
            "node to PC": (spaces["nodoa"], spaces["menchupc"]),
            "PC to pod": (spaces["menchupc"], one),
            "pod to PC": (one, spaces["menchupc"]),
            "pod to pod of its node": (one, two),
            "pod to pod of another node": (one, far),
            "pod to its node": (one, spaces["nodoa"]),
            "pod to another node": (one, spaces["nodo1"]),
            "another node to pod": (spaces["nodo1"], far),
            "pod to the company's DNS": (far, spaces["dns"]),
        }
        return {words: reaches(*pair) for words, pair in pairs.items()}

    answers = inside(story)
    assert {words for words, reached in answers.items() if not reached} == {"PC to pod", "pod to PC"}


def test_a_killed_runtime_finds_its_pods_networks_again(inside, tmp_path):
    async def story():
        spaces = await build(tmp_path)
        with at(spaces["nodoa"]):
            first = NetnsPodNetwork("10.10.0.64/26", tmp_path / "a", pool=2)
            kept = await first.attach("kept")
            await first.attach("gone")
            await first.detach("gone")
            while first._filling:
                await asyncio.sleep(0.01)
            await first.close()
            (tmp_path / "a" / "namespaces" / "10.10.0.99").touch()  # as if killed before its mount was made
            (tmp_path / "a" / "assigned" / "lost").symlink_to("10.10.0.98")
            second = NetnsPodNetwork("10.10.0.64/26", tmp_path / "a", pool=2)
            assert await second.attach("kept") == kept
            assert set(second._spaces) == {"kept"}
            assert len(second._ready) == 2
            other = await second.attach("other")
            await second.close()
        assert other.address != kept.address
        return reaches(kept, other)

    assert inside(story)


def test_detaching_takes_devices_and_mounts_away(inside, tmp_path):
    async def story():
        spaces = await build(tmp_path)
        with at(spaces["nodoa"]):
            network = NetnsPodNetwork("10.10.0.64/26", tmp_path / "a", pool=0)
            space = await network.attach("one")
            with Netlink() as netlink:
                assert netlink.index(device("p", space.address)) > 0
                await network.detach("one")
                await network.detach("one")
                with pytest.raises(OSError, match="No such device"):
                    netlink.index(device("p", space.address))
            await network.close()
        with open("/proc/self/mountinfo") as mounts:
            assert space.netns not in mounts.read()
        assert not os.path.exists(space.netns)

    inside(story)


def test_hosts_and_pods_come_within_their_time(inside, tmp_path):
    async def story():
        began = time.perf_counter()
        spaces = await build(tmp_path)
        built = time.perf_counter() - began
        with at(spaces["nodoa"]):
            network = NetnsPodNetwork("10.10.0.64/26", tmp_path / "a")
            took = []
            for index in range(4):
                began = time.perf_counter()
                await network.attach(f"s{index}")
                took.append(time.perf_counter() - began)
                while network._filling:
                    await asyncio.sleep(0.005)
            await network.close()
        return built, sorted(took)[1]

    built, attach = inside(story)
    assert built < 0.5  # 15 ms where nothing else runs
    assert attach < 0.05  # under 1 ms then


def test_an_error_says_what_was_tried(inside):
    async def story():
        with Netlink() as netlink:
            netlink.add_bridge("lan")
            netlink.add_bridge("lan")
            netlink.set_up(1)
            with pytest.raises(FileExistsError, match="add bridge lan"):
                netlink.flush()
            netlink.flush()
        os.close(new_namespace())

    inside(story)


def test_link_addresses_and_device_names_follow_from_addresses():
    assert link_address("10.10.0.66") == "0a:58:0a:0a:00:42"
    assert device("p", "10.10.0.66") == "p0a0a0042"
