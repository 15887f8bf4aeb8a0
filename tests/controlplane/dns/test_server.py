"""The DNS server on real sockets: UDP, TCP, truncation, forwarding, and upstreams that are not there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest

from panal.controlplane.dns import server as server_module
from panal.controlplane.dns import wire
from panal.controlplane.dns.forward import Forwarder, Upstream
from panal.controlplane.dns.server import Responder, Server
from panal.controlplane.dns.zones import ClusterZones

from ...ports import free_port
from .conftest import HTTP, endpoint, endpoint_slice, lines, service


@contextlib.asynccontextmanager
async def serving(
    zones: ClusterZones, upstreams: dict[bytes, tuple[Upstream, ...]] | None = None
) -> AsyncIterator[Server]:
    forwarder = None if upstreams is None else Forwarder(upstreams)
    responder = Responder(zones.zones, forwarder)
    async with Server(responder) as server:
        await server.start("127.0.0.1", 0)
        server.responder = responder  # type: ignore[attr-defined]
        yield server


async def udp(server: Server, name: str, qtype: str = "A", **how: object) -> dns.message.Message:
    query = dns.message.make_query(name, qtype, **how)
    return await dns.asyncquery.udp(query, "127.0.0.1", port=server.port, timeout=5)


async def tcp(server: Server, name: str, qtype: str = "A") -> dns.message.Message:
    return await dns.asyncquery.tcp(dns.message.make_query(name, qtype), "127.0.0.1", port=server.port, timeout=5)


async def test_a_name_is_answered_over_udp_and_tcp_the_first_time_and_from_the_cache(cluster: ClusterZones) -> None:
    async with serving(cluster) as server:
        for _ in range(3):
            for ask in (udp, tcp):
                said = await ask(server, "web.default.svc.cluster.local")
                assert lines(said.answer) == ["web.default.svc.cluster.local A 10.10.1.102"]


async def test_a_change_is_answered_at_once_although_the_old_answer_was_kept(cluster: ClusterZones) -> None:
    async with serving(cluster) as server:
        await udp(server, "web.default.svc.cluster.local")
        if cluster.service(("default", "web"), service("web", clusterIP="10.10.1.200", ports=[HTTP])):
            server.responder.changed()  # type: ignore[attr-defined]
        said = await udp(server, "web.default.svc.cluster.local")
        assert lines(said.answer) == ["web.default.svc.cluster.local A 10.10.1.200"]


async def test_an_answer_too_long_for_a_datagram_is_truncated_and_whole_over_tcp(cluster: ClusterZones) -> None:
    many = [endpoint(f"10.10.{i // 250}.{i % 250 + 1}") for i in range(200)]
    cluster.service(("default", "many"), service("many", clusterIP="None", ports=[HTTP]))
    cluster.endpoint_slice(("default", "many-1"), endpoint_slice("many-1", "many", many, [HTTP]))
    async with serving(cluster) as server:
        said = await udp(server, "many.default.svc.cluster.local")
        assert said.flags & dns.flags.TC
        said = await udp(server, "many.default.svc.cluster.local", use_edns=0, payload=4096)
        assert said.flags & dns.flags.TC
        assert len(said.answer[0]) > 50
        assert len((await tcp(server, "many.default.svc.cluster.local")).answer[0]) == 200


async def test_several_questions_on_one_connection_are_all_answered(cluster: ClusterZones) -> None:
    async with serving(cluster) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        stream = b""
        for ident in (1, 2, 3):
            query = dns.message.make_query("web.default.svc.cluster.local", "A", id=ident).to_wire()
            stream += struct.pack(">H", len(query)) + query
        for part in (stream[:1], stream[1:30], stream[30:]):  # split wherever the network likes
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
        for ident in (1, 2, 3):
            size = int.from_bytes(await reader.readexactly(2), "big")
            assert dns.message.from_wire(await reader.readexactly(size)).id == ident
        writer.close()


async def test_a_silent_connection_is_closed(cluster: ClusterZones, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "TCP_IDLE", 0.1)
    async with serving(cluster) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 3) == b""
        writer.close()


async def test_garbage_gets_formerr_and_does_not_stop_the_server(cluster: ClusterZones) -> None:
    async with serving(cluster) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(("127.0.0.1", server.port))
            loop = asyncio.get_running_loop()
            for garbage in (b"", b"x", b"\0" * 12, b"\xff" * 100):
                await loop.sock_sendall(sock, garbage)
            said = await asyncio.wait_for(loop.sock_recv(sock, 512), 3)
            assert said[3] & 15 == wire.FORMERR
        assert (await udp(server, "web.default.svc.cluster.local")).answer


async def test_names_elsewhere_are_asked_upstream_by_the_closest_zone_and_kept(cluster: ClusterZones) -> None:
    company = ClusterZones("miempresa.com", ttl=30, serial=1)
    company.forward.put("x", [_a("web1.miempresa.com", "192.168.0.10")])
    world = ClusterZones("example.org", ttl=1000, serial=1)
    world.forward.put("x", [_a("www.example.org", "203.0.113.5")])
    async with serving(company) as at_company, serving(world) as in_world:
        upstreams = {
            wire.name("miempresa.com"): (Upstream("127.0.0.1", at_company.port),),
            wire.ROOT: (Upstream("127.0.0.1", in_world.port),),
        }
        async with serving(cluster, upstreams) as server:
            for _ in range(2):
                said = await udp(server, "web1.miempresa.com")
                assert lines(said.answer) == ["web1.miempresa.com A 192.168.0.10"]
            assert at_company.responder.queries == 1  # type: ignore[attr-defined]
            said = await udp(server, "WWW.example.org", use_edns=0)
            assert lines(said.answer) == ["WWW.example.org A 203.0.113.5"]
            said = await udp(server, "absent.example.org")
            assert said.rcode() == dns.rcode.NXDOMAIN
            assert said.authority


async def test_an_external_names_target_is_fetched_from_upstream(cluster: ClusterZones) -> None:
    world = ClusterZones("example.org", ttl=10, serial=1)
    world.forward.put("x", [_a("db.example.org", "203.0.113.9")])
    async with serving(world) as upstream:
        async with serving(cluster, {wire.ROOT: (Upstream("127.0.0.1", upstream.port),)}) as server:
            said = await udp(server, "outside.default.svc.cluster.local")
            assert lines(said.answer) == [
                "db.example.org A 203.0.113.9",
                "outside.default.svc.cluster.local CNAME db.example.org.",
            ]


async def test_without_an_upstream_that_answers_servfail_comes_quickly(cluster: ClusterZones) -> None:
    for upstreams in ({}, {wire.ROOT: (Upstream("127.0.0.1", free_port()),)}):
        async with serving(cluster, upstreams) as server:
            before = time.monotonic()
            said = await udp(server, "www.example.org")
            assert said.rcode() == dns.rcode.SERVFAIL
            assert time.monotonic() - before < 0.5
            alias = await udp(server, "outside.default.svc.cluster.local")
            assert alias.rcode() == dns.rcode.SERVFAIL
            assert alias.answer


async def test_a_silent_upstream_is_passed_over(cluster: ClusterZones, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panal.controlplane.dns.forward.TIMEOUT", 0.1)
    world = ClusterZones("example.org", ttl=10, serial=1)
    world.forward.put("x", [_a("www.example.org", "203.0.113.5"), _a("ftp.example.org", "203.0.113.6")])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        async with serving(world) as upstream:
            both = (Upstream("127.0.0.1", silent.getsockname()[1]), Upstream("127.0.0.1", upstream.port))
            async with serving(cluster, {wire.ROOT: both}) as server:
                assert (await udp(server, "www.example.org")).answer
                assert (await udp(server, "ftp.example.org")).answer
                assert both[0].away_until > time.monotonic()
                assert both[1].away_until == 0


async def test_an_answer_too_long_for_upstreams_datagrams_is_fetched_over_tcp(cluster: ClusterZones) -> None:
    world = ClusterZones("example.org", ttl=10, serial=1)
    world.forward.put("x", [_a("many.example.org", f"203.0.113.{i}") for i in range(200)])
    async with serving(world) as upstream:
        async with serving(cluster, {wire.ROOT: (Upstream("127.0.0.1", upstream.port),)}) as server:
            assert len((await tcp(server, "many.example.org")).answer[0]) == 200


async def test_a_zone_can_be_transferred_over_tcp_only(cluster: ClusterZones) -> None:
    async with serving(cluster) as server:
        said = await tcp(server, "cluster.local", "AXFR")
        assert "web.default.svc.cluster.local A 10.10.1.102" in lines(said.answer)
        assert (await udp(server, "cluster.local", "AXFR")).rcode() == dns.rcode.REFUSED


def _a(name: str, address: str) -> tuple[bytes, int, bytes]:
    from panal.controlplane.dns.zone import Entry

    return Entry(wire.name(name), *wire.address_data(address))
