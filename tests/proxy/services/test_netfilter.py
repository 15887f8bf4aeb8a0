"""The netfilter dataplane in the kernel: real nodes, pods and connections in namespaces of the test's own."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from panal.proxy.services.dataplane import DataplaneError
from panal.proxy.services.netfilter import Netfilter
from panal.proxy.services.nft import Nft, NftLibrary, NftProgram, TooLong
from panal.proxy.services.table import Endpoint, PortName, ServicePort, ServiceTable

NFT = shutil.which("nft", path=os.environ.get("PATH", "") + ":/usr/sbin")
pytestmark = [pytest.mark.nft, pytest.mark.skipif(not os.environ.get("CI") and NFT is None, reason="no nft here")]

CIDR = "10.10.0.0/16"
NODE, OTHER, CLIENT = "192.168.0.101", "192.168.0.102", "192.168.0.200"
WEB = PortName("default", "wp-service", "", "TCP")
DNS = PortName("kube-system", "kube-dns", "dns", "UDP")


def table(*ports: ServicePort) -> ServiceTable:
    return ServiceTable("nodoa", (NODE,), {port.name: port for port in ports})


def web(*endpoints: Endpoint, **more: Any) -> ServicePort:
    local = tuple(item for item in endpoints if item.local)
    return ServicePort(WEB, ("10.10.1.102",), 8080, endpoints=endpoints, local_endpoints=local, **more)


async def small_cluster(world: Any) -> tuple[Netfilter, str, str]:
    """NODE with two pods that serve port 80, OTHER, and a client PC. The test's thread is on NODE from now on."""
    for address, cidr in ((NODE, "10.10.8.0/24"), (OTHER, "10.10.9.0/24")):
        await world.node(address, cidr)
    await world.host(CLIENT)
    first, second = await world.pod(NODE), await world.pod(NODE)
    for pod in (first, second):
        world.serve_tcp(pod, 80)
    world.enter(NODE)
    return Netfilter(nft(), CIDR, NODE), first, second


def nft() -> Nft:
    return NftProgram(NFT or "")


def test_pods_node_and_lan_reach_a_service_in_turn(in_world: Any) -> None:
    async def story(world: Any) -> None:
        dataplane, first, second = await small_cluster(world)
        endpoints = Endpoint(first, 80, True), Endpoint(second, 80, True)
        await dataplane.apply(table(web(*endpoints, node_port=30880)))
        stranger = await world.pod(OTHER)
        visitor = await world.pod(NODE)

        seen = [await world.ask(visitor, ("10.10.1.102", 8080)) for _ in range(4)]
        assert Counter(seen) == {(first, visitor): 2, (second, visitor): 2}, seen
        assert seen[0] != seen[1]
        assert {await world.ask(NODE, ("10.10.1.102", 8080)) for _ in range(2)} == {(first, NODE), (second, NODE)}
        # A pod that reaches itself through its Service is masqueraded, or it would answer itself directly.
        assert {await world.ask(first, ("10.10.1.102", 8080)) for _ in range(2)} == {(first, NODE), (second, first)}
        for client in (CLIENT, OTHER, stranger, NODE, visitor):
            answers = {await world.ask(client, (NODE, 30880)) for _ in range(2)}
            assert answers == {(first, NODE), (second, NODE)}, client

    in_world(story)


def test_a_service_without_endpoints_refuses_at_once(in_world: Any) -> None:
    async def story(world: Any) -> None:
        dataplane, first, _ = await small_cluster(world)
        await dataplane.apply(table(web(node_port=30880)))
        for client, target in ((NODE, ("10.10.1.102", 8080)), (first, ("10.10.1.102", 8080)), (CLIENT, (NODE, 30880))):
            with pytest.raises(ConnectionRefusedError):
                await world.ask(client, target)
        await dataplane.apply(table(web(Endpoint(first, 80, True), node_port=30880)))
        assert await world.ask(first, ("10.10.1.102", 8080)) == (first, NODE)
        await dataplane.apply(table())
        with pytest.raises(OSError):  # noqa: PT011 - nothing there at all: no route, or refused
            await world.ask(NODE, ("10.10.1.102", 8080))

    in_world(story)


def test_a_connection_outlives_every_change_and_a_restart_until_its_endpoint_is_gone(in_world: Any) -> None:
    async def story(world: Any) -> None:
        dataplane, first, second = await small_cluster(world)
        with world.at(first):
            echo = socket.create_server((first, 81))
        await dataplane.apply(table(web(Endpoint(first, 81, True))))
        with world.at(NODE), socket.create_connection(("10.10.1.102", 8080), timeout=3) as client:
            served, _ = echo.accept()
            leaving = web(Endpoint(second, 80, True), others=(Endpoint(first, 81, True),))
            await dataplane.apply(table(leaving))
            reborn = Netfilter(nft(), CIDR, NODE)
            await reborn.apply(table(leaving))
            client.sendall(b"still there?")
            assert served.recv(100) == b"still there?"
            served.sendall(b"yes")
            assert client.recv(100) == b"yes"
            await reborn.apply(table(web(Endpoint(second, 80, True))))
            await reborn.settled()
            client.sendall(b"and now?")
            with pytest.raises(ConnectionResetError):
                client.recv(100)
        assert (await world.ask(NODE, ("10.10.1.102", 8080)))[0] == second

    in_world(story)


def test_udp_flows_leave_an_endpoint_that_left(in_world: Any) -> None:
    async def story(world: Any) -> None:
        dataplane, first, second = await small_cluster(world)
        for pod in (first, second):
            world.serve_udp(pod, 53)
        visitor = await world.pod(NODE)
        client = world.udp_client(visitor)

        def dns(*endpoints: Endpoint) -> ServicePort:
            return ServicePort(DNS, ("10.10.1.10",), 53, endpoints=endpoints)

        def ask() -> str:
            client.sendto(b"who?", ("10.10.1.10", 53))
            return client.recv(100).decode().split()[0]

        await dataplane.apply(table(dns(Endpoint(first, 53, True))))
        assert [ask(), ask()] == [first, first]
        await dataplane.apply(table(dns(Endpoint(second, 53, True))))
        await dataplane.settled()
        assert [ask(), ask()] == [second, second]
        await dataplane.apply(table(dns()))
        await dataplane.settled()
        with pytest.raises(OSError):  # noqa: PT011 - refused or silent
            ask()
        await dataplane.apply(table(dns(Endpoint(first, 53, True))))
        await dataplane.settled()
        assert ask() == first

    in_world(story)


def test_session_affinity_keeps_a_client_at_its_endpoint(in_world: Any) -> None:
    async def story(world: Any) -> None:
        dataplane, first, second = await small_cluster(world)
        endpoints = Endpoint(first, 80, True), Endpoint(second, 80, True)
        visitor, another = await world.pod(OTHER), await world.pod(NODE)
        await dataplane.apply(table(web(*endpoints, node_port=30880, affinity_seconds=600)))
        mine = {await world.ask(another, ("10.10.1.102", 8080)) for _ in range(5)}
        others = {await world.ask(visitor, (NODE, 30880)) for _ in range(5)}
        assert len(mine) == 1
        assert len(others) == 1
        await dataplane.apply(table(web(*endpoints, node_port=30880, affinity_seconds=900)))
        assert {await world.ask(another, ("10.10.1.102", 8080)) for _ in range(3)} == mine
        await dataplane.apply(table(web(endpoints[0], node_port=30880)))
        assert (await world.ask(visitor, (NODE, 30880)))[0] == first

    in_world(story)


def test_external_traffic_policy_local_keeps_the_clients_address(in_world: Any) -> None:
    async def story(world: Any) -> None:
        dataplane, first, _ = await small_cluster(world)
        far = await world.pod(OTHER)
        world.serve_tcp(far, 80)
        here, there = Endpoint(first, 80, True), Endpoint(far, 80)
        await world.host("192.168.0.10")
        await dataplane.apply(table(web(here, there, node_port=30880, external_local=True)))
        assert {await world.ask(CLIENT, (NODE, 30880)) for _ in range(3)} == {(first, CLIENT)}
        await dataplane.apply(table(web(there, node_port=30880, external_local=True)))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(world.ask(CLIENT, (NODE, 30880)), 1.0)
        assert (await world.ask(NODE, (NODE, 30880)))[0] == far

    in_world(story)


def test_rules_taken_away_by_someone_else_come_back_whole(in_world: Any) -> None:
    async def story(world: Any) -> None:
        dataplane, first, second = await small_cluster(world)
        await dataplane.apply(table(web(Endpoint(first, 80, True))))
        subprocess.run([NFT or "", "flush", "ruleset"], check=True)
        await dataplane.apply(table(web(Endpoint(second, 80, True))))
        assert (await world.ask(NODE, ("10.10.1.102", 8080)))[0] == second

    in_world(story)


def test_an_incremental_change_leaves_what_a_full_one_would(in_world: Any) -> None:
    async def story(world: Any) -> None:
        dataplane, first, second = await small_cluster(world)
        steps = [
            table(web(Endpoint(first, 80, True), node_port=30880)),
            table(web(Endpoint(first, 80, True), Endpoint(second, 80), node_port=30880, affinity_seconds=10)),
            table(web(node_port=30881, external_ips=("192.168.0.50",))),
            table(web(Endpoint(second, 80), external_local=True, node_port=30881, load_balancer_ips=("192.168.0.11",),
                      source_ranges=("10.0.0.0/8", "10.1.0.0/16"))),
            table(web(Endpoint(second, 80), internal_local=True)),
            table(web(Endpoint(first, 80, True), Endpoint(second, 80), internal_local=True, external_ips=("1.2.3.4",))),
            table(),
        ]  # fmt: skip
        for step in steps:
            await dataplane.apply(step)
            incremental = listing()
            await Netfilter(nft(), CIDR, NODE).apply(step)
            assert incremental == listing()

    def listing() -> list[str]:
        shown = subprocess.run([NFT or "", "-s", "list", "table", "ip", "panal"], check=True, capture_output=True)
        return sorted(line for line in shown.stdout.decode().splitlines() if "flags dynamic" not in line)

    in_world(story)


@pytest.mark.parametrize(
    "make", [lambda: NftProgram(NFT or ""), lambda: NftLibrary(os.environ)], ids=["program", "library"]
)
def test_program_and_library_take_all_of_a_transaction_or_nothing(in_world: Any, make: Any) -> None:
    async def story(world: Any) -> None:
        await small_cluster(world)
        runner = make()
        await runner.run("add table ip panal\nadd chain ip panal a\n")
        with pytest.raises(DataplaneError, match="No such file or directory"):
            await runner.run("add chain ip panal b\ndelete chain ip panal absent\n")
        with pytest.raises(DataplaneError, match="syntax error"):
            await runner.run("add chain ip panal c\nnonsense\n")
        shown = subprocess.run([NFT or "", "list", "table", "ip", "panal"], check=True, capture_output=True)
        assert shown.stdout.decode().split() == "table ip panal { chain a { } }".split()
        await runner.run("add chain ip panal d\n")

    in_world(story)


def test_thousands_of_services_are_loaded_in_parts_where_one_is_too_long(in_world: Any) -> None:
    class Short:
        """The real library, in a kernel with small socket buffers."""

        def __init__(self) -> None:
            self._library = NftLibrary(os.environ)
            self.sizes: list[int] = []
            self.replaced = 0

        async def run(self, transaction: str) -> None:
            if len(transaction) > 200_000:
                raise TooLong("nft: Message too long")
            self.sizes.append(len(transaction))
            self.replaced += "delete table" in transaction
            await self._library.run(transaction)

    async def story(world: Any) -> None:
        _, first, _ = await small_cluster(world)
        ports = [
            ServicePort(
                PortName("default", f"s{number}", "", "TCP"),
                (f"10.20.{number >> 8}.{number % 256}",),
                80,
                endpoints=(Endpoint(first, 80, True), Endpoint("10.10.0.70", 80)),
            )
            for number in range(1000)
        ]
        short = Short()
        dataplane = Netfilter(short, CIDR, NODE)
        await dataplane.apply(table(*ports))
        assert len(short.sizes) == 10
        await dataplane.apply(table(*ports[:-1], replace(ports[-1], endpoints=(Endpoint(first, 80, True),))))
        assert len(short.sizes) == 11
        assert short.sizes[-1] < 800
        assert (await world.ask(NODE, ("10.20.3.231", 80)))[0] == first
        await dataplane.apply(table(ports[0]))
        await dataplane.apply(table(*ports[:-1], replace(ports[-1], endpoints=(Endpoint(first, 80, True),))))
        assert short.replaced == 1  # at the start: whatever comes later leaves what there is in force
        assert (await world.ask(NODE, ("10.20.3.231", 80)))[0] == first

    in_world(story)


def test_a_connections_way_through_the_rules_is_what_its_two_ends_see(in_world: Any) -> None:
    async def story(world: Any) -> None:
        dataplane, first, second = await small_cluster(world)
        ends: dict[Any, Any] = {}
        servers = []
        for pod in (first, second):
            with world.at(pod):
                servers.append(socket.create_server((pod, 81)))
        await dataplane.apply(table(web(Endpoint(first, 81, True), Endpoint(second, 81, True), node_port=30880)))
        visitor = await world.pod(NODE)
        wanted = [(CLIENT, (NODE, 30880)), (CLIENT, (NODE, 30880)), (visitor, ("10.10.1.102", 8080))]
        clients = []
        for where, target in wanted * 2:
            with world.at(where):
                clients.append(socket.create_connection(target, timeout=3))
        for server in servers:
            server.settimeout(5)
            for _ in range(len(clients) // 2):
                connection, peer = server.accept()
                ends[peer, server.getsockname()] = connection
        for client, (_, target) in zip(clients, wanted * 2, strict=True):
            flow = await dataplane.flow(client.getsockname(), target)
            assert flow is not None
            source, choice = (tuple(flow[key].split(":")) for key in ("source", "target"))
            client.sendall(str(client.getsockname()).encode())
            arrived = ends[(source[0], int(source[1])), (choice[0], int(choice[1]))].recv(100)
            assert arrived == str(client.getsockname()).encode()
        assert await dataplane.flow((CLIENT, 1), (NODE, 30880)) is None

    in_world(story)
