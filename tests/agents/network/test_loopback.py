"""Addresses of 127/8, remembered on disk."""

from __future__ import annotations

import socket

from panal.agents.network.contract import Space
from panal.agents.network.loopback import LoopbackLAN, LoopbackPodNetwork


async def test_a_sandbox_keeps_its_address_across_a_restart_and_gives_it_back(tmp_path):
    network = LoopbackPodNetwork("127.10.0.0/26", tmp_path)
    space = await network.attach("a")
    assert space == Space("127.10.0.2", None)
    assert await network.attach("a") == space
    again = LoopbackPodNetwork("127.10.0.0/26", tmp_path)
    assert await again.attach("a") == space
    assert (await again.attach("b")).address == "127.10.0.3"
    await again.detach("a")
    await again.detach("a")
    assert LoopbackPodNetwork("127.10.0.0/26", tmp_path)._addresses == {"b": "127.10.0.3"}


async def test_every_host_is_where_everything_is_and_can_be_bound():
    lan = LoopbackLAN()
    for space in (await lan.add_host("pc", "127.168.0.200"), await lan.add_node("n", "127.168.0.100", "127.10.0.0/26")):
        assert space.netns is None
        with socket.socket() as listener:
            listener.bind((space.address, 0))
    lan.close()
