"""Addresses and routes of the kernel's, told apart from other people's by a mark."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from panal.proxy.services.addresses import LocalAddresses, ServiceRoutes, device_of_network

NODE, CLIENT = "192.168.0.101", "192.168.0.200"


def test_addresses_a_killed_proxy_left_are_known_again(in_world: Any) -> None:
    async def story(world: Any) -> None:
        world.enter(await world.node(NODE, "10.10.8.0/24"))
        LocalAddresses().set(["10.10.1.1", "10.10.1.2"])
        reborn = LocalAddresses()
        reborn.set(["10.10.1.2", "10.10.1.3"])
        assert LocalAddresses()._have == {"10.10.1.2", "10.10.1.3"}
        reborn.set(["10.10.1.2", "127.0.0.1"])
        reborn.set([])
        with socket.create_server(("127.0.0.1", 0)):
            pass
        routes = ServiceRoutes(NODE)
        routes.set(["10.10.1.1", "10.10.1.2"])
        ServiceRoutes(NODE).set(["10.10.1.2"])
        assert ServiceRoutes(NODE)._have == {"10.10.1.2"}

    in_world(story)


def test_an_address_on_the_lan_is_answered_for_and_given_back(in_world: Any) -> None:
    async def story(world: Any) -> None:
        await world.host(CLIENT)
        world.enter(await world.host("192.168.0.10"))
        assert device_of_network("192.168.0.10") == "eth0"
        assert device_of_network("10.10.1.1") is None
        addresses = LocalAddresses("eth0", "eth0:lb")
        addresses.set(["192.168.0.11"])
        world.serve_tcp("192.168.0.10", 80, bind="192.168.0.11")
        assert await world.ask(CLIENT, ("192.168.0.11", 80)) == ("192.168.0.10", CLIENT)
        LocalAddresses("eth0", "eth0:lb").set([])
        assert device_of_network("192.168.0.11") == "eth0"
        with socket.socket() as probe, pytest.raises(OSError, match="Cannot assign requested address"):
            probe.bind(("192.168.0.11", 0))

    in_world(story)
