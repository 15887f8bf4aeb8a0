"""The userspace dataplane: in namespaces it takes Services' addresses on, in the loopback network it shares them."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

import pytest

from panal.proxy.forward.balance import Backends
from panal.proxy.forward.engine import Engine
from panal.proxy.forward.records import Frontend
from panal.proxy.services.addresses import LocalAddresses
from panal.proxy.services.dataplane import DataplaneError
from panal.proxy.services.forwards import forwards, own_addresses
from panal.proxy.services.table import Endpoint, PortName, ServicePort, ServiceTable
from panal.proxy.services.userspace import Userspace

NODE, OTHER, CLIENT = "192.168.0.101", "192.168.0.102", "192.168.0.200"
WEB = PortName("default", "wp-service", "", "TCP")
DNS = PortName("kube-system", "kube-dns", "dns", "UDP")


def table(*ports: ServicePort, node_ips: tuple[str, ...] = (NODE,)) -> ServiceTable:
    return ServiceTable("nodoa", node_ips, {port.name: port for port in ports})


def web(*endpoints: Endpoint, **more: Any) -> ServicePort:
    local = tuple(item for item in endpoints if item.local)
    return ServicePort(WEB, ("10.10.1.102",), 8080, endpoints=endpoints, local_endpoints=local, **more)


def test_in_its_own_namespace_a_node_listens_for_node_ports_everywhere() -> None:
    port = web(Endpoint("10.10.0.5", 80), node_port=30880, external_ips=("192.168.0.101",), affinity_seconds=5,
               load_balancer_ips=("192.168.0.11",))  # fmt: skip
    backends = Backends((("10.10.0.5", 80),), 5, leaving=())
    assert forwards(table(port), loopback=False, real_port=lambda number: number) == {
        Frontend("TCP", "10.10.1.102", 8080): backends,
        Frontend("TCP", "192.168.0.101", 8080): backends,
        Frontend("TCP", "0.0.0.0", 30880): backends,
    }
    assert own_addresses(table(port)) == {"10.10.1.102", "192.168.0.101"}


def test_in_the_loopback_network_node_ports_are_the_nodes_own_and_low_ports_are_shifted() -> None:
    port = web(Endpoint("127.10.0.5", 80), node_port=30880, load_balancer_ips=("127.168.0.11",))
    dns = ServicePort(DNS, ("127.10.1.10",), 53, endpoints=(Endpoint("127.10.0.2", 53),))

    def shifted(number: int) -> int:
        return number + 10000 if number < 1024 else number

    assert forwards(table(port, dns, node_ips=("127.168.0.101",)), loopback=True, real_port=shifted) == {
        Frontend("TCP", "10.10.1.102", 8080): Backends((("127.10.0.5", 10080),), leaving=()),
        Frontend("TCP", "127.168.0.101", 30880): Backends((("127.10.0.5", 10080),), leaving=()),
        Frontend("UDP", "127.10.1.10", 10053): Backends((("127.10.0.2", 10053),), leaving=()),
    }


def test_policies_choose_the_endpoints_and_nobody_listens_without_any() -> None:
    here, there = Endpoint("10.10.0.5", 80, True), Endpoint("10.10.0.70", 80)
    port = web(here, there, node_port=30880, external_local=True)
    assert forwards(table(port), loopback=False, real_port=lambda number: number) == {
        Frontend("TCP", "10.10.1.102", 8080): Backends((("10.10.0.5", 80), ("10.10.0.70", 80)), leaving=()),
        Frontend("TCP", "0.0.0.0", 30880): Backends((("10.10.0.5", 80),), leaving=(("10.10.0.70", 80),)),
    }
    far = web(there, node_port=30880, external_local=True, internal_local=True)
    found = forwards(table(far), loopback=False, real_port=lambda number: number)
    assert {backends.targets for backends in found.values()} == {()}
    gone = replace(web(node_port=30880), others=(there,))
    found = forwards(table(gone), loopback=False, real_port=lambda number: number)
    assert set(found.values()) == {Backends((), leaving=(("10.10.0.70", 80),))}


def test_pods_node_and_lan_reach_services_through_the_forwarder(in_world: Any) -> None:
    async def story(world: Any) -> None:
        for address, cidr in ((NODE, "10.10.8.0/24"), (OTHER, "10.10.9.0/24")):
            await world.node(address, cidr)
        await world.host(CLIENT)
        first, second, visitor = [await world.pod(NODE) for _ in range(3)]
        for pod in (first, second):
            world.serve_tcp(pod, 80)
            world.serve_udp(pod, 53)
        world.enter(NODE)
        engine = Engine()
        engine.start()
        dataplane = Userspace(engine, lambda number: number, LocalAddresses())
        endpoints = Endpoint(first, 80, True), Endpoint(second, 80, True)
        dns = ServicePort(DNS, ("10.10.1.10",), 53, endpoints=(Endpoint(first, 53, True),))
        await dataplane.apply(table(web(*endpoints, node_port=30880), dns))

        # What the endpoints see is the node, never a Service's address.
        for client, target in (
            (visitor, ("10.10.1.102", 8080)),
            (NODE, ("10.10.1.102", 8080)),
            (CLIENT, (NODE, 30880)),
        ):
            assert {await world.ask(client, target) for _ in range(2)} == {(first, NODE), (second, NODE)}, client
        with world.udp_client(visitor) as client:
            client.sendto(b"who?", ("10.10.1.10", 53))
            answer, peer = client.recvfrom(100)
        assert (answer.decode(), peer) == (f"{first} {NODE}", ("10.10.1.10", 53))
        with world.udp_client(CLIENT) as client:
            assert client.connect_ex((NODE, 30053)) == 0

        await dataplane.apply(table(web(), dns))
        for client, target in ((visitor, ("10.10.1.102", 8080)), (CLIENT, (NODE, 30880))):
            with pytest.raises(ConnectionRefusedError):
                await world.ask(client, target)

        await dataplane.apply(table(dns))
        assert LocalAddresses()._have == {"10.10.1.10"}
        await dataplane.close()

    in_world(story)


def test_what_cannot_be_listened_on_is_said(in_world: Any) -> None:
    async def story(world: Any) -> None:
        world.enter(await world.node(NODE, "10.10.8.0/24"))
        engine = Engine()
        engine.start()
        dataplane = Userspace(engine, lambda number: number, LocalAddresses())
        with socket.create_server(("0.0.0.0", 30880)):
            with pytest.raises(DataplaneError, match=r"0\.0\.0\.0:30880/TCP: Address already in use"):
                await dataplane.apply(table(web(Endpoint("10.10.8.2", 80), node_port=30880)))
        await dataplane.apply(table(web(Endpoint("10.10.8.2", 80), node_port=30880)))
        await dataplane.close()

    in_world(story)
