"""A port of the node leads to a pod while the pod wants it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from panal.agents.kubelet import hostudp
from panal.agents.kubelet.hostports import Forward, HostPorts, forwards

from ...ports import free_port


def test_what_a_pod_wants_forwarded(pod: Any) -> None:
    ports = [
        {"containerPort": 80, "hostPort": 8080},
        {"containerPort": 81, "hostPort": 8081, "hostIP": "10.0.0.1"},
        {"containerPort": 82},
        {"containerPort": 83, "hostPort": 8083, "protocol": "UDP"},
    ]
    asked = pod({"name": "web", "ports": ports})
    assert forwards(asked, "10.10.1.2", "0.0.0.0") == {
        Forward("0.0.0.0", 8080, "10.10.1.2", 80),
        Forward("10.0.0.1", 8081, "10.10.1.2", 81),
        Forward("0.0.0.0", 8083, "10.10.1.2", 83, "UDP"),
    }
    assert forwards(asked, "", "0.0.0.0") == frozenset()
    assert forwards(pod({"name": "web", "ports": ports}, hostNetwork=True), "10.0.0.9", "0.0.0.0") == frozenset()


async def test_connections_are_carried_both_ways_until_the_pod_goes() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    forward = Forward("127.0.0.1", free_port(), "127.0.0.1", server.sockets[0].getsockname()[1])
    ports, failures = HostPorts(), list[str]()
    ports.follow("u1", frozenset({forward}), failures.append)
    reader, writer = await dial(forward.port)
    writer.write(b"hola" * 100_000)
    writer.write_eof()
    assert await reader.read() == b"HOLA" * 100_000
    writer.close()
    ports.follow("u2", frozenset({forward}), failures.append)
    async with asyncio.timeout(5):
        while not failures:
            await asyncio.sleep(0.01)
    assert failures[0].startswith(f"cannot listen on hostPort {forward.port}: ")
    ports.follow("u1", frozenset(), failures.append)
    async with asyncio.timeout(5):
        while True:
            try:
                (await asyncio.open_connection("127.0.0.1", forward.port))[1].close()
            except OSError:
                break
            await asyncio.sleep(0.01)
    await ports.close()
    server.close()


class Shout(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._transport.sendto(f"{addr[1]} ".encode() + data.upper(), addr)


class Client(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard.put_nowait(data)


async def test_datagrams_are_carried_and_each_client_keeps_its_own_flow() -> None:
    loop = asyncio.get_running_loop()
    server, _ = await loop.create_datagram_endpoint(Shout, local_addr=("127.0.0.1", 0))
    forward = Forward("127.0.0.1", free_port(), "127.0.0.1", server.get_extra_info("sockname")[1], "UDP")
    ports, failures = HostPorts(), list[str]()
    ports.follow("u1", frozenset({forward}), failures.append)
    sources = []
    for _ in range(2):
        transport, client = await loop.create_datagram_endpoint(Client, remote_addr=("127.0.0.1", forward.port))
        sources.append({await asked(transport, client, f"hola {number}") for number in range(3)})
        transport.close()
    assert [len(each) for each in sources] == [1, 1], "the pod sees one address for each client"
    assert sources[0] != sources[1]
    ports.follow("u1", frozenset(), failures.append)
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while True:
            try:
                (await loop.create_datagram_endpoint(Client, local_addr=("127.0.0.1", forward.port)))[0].close()
                break
            except OSError:
                await asyncio.sleep(0.01)
    assert failures == []
    await ports.close()
    server.close()


async def asked(transport: asyncio.DatagramTransport, client: Client, words: str) -> int:
    """Until it is answered: nobody may listen yet. Which port the pod saw."""
    while True:
        transport.sendto(words.encode())
        try:
            heard = await asyncio.wait_for(client.heard.get(), 0.3)
        except TimeoutError:
            continue
        source, _, answer = heard.decode().partition(" ")
        if answer == words.upper():
            return int(source)


async def test_the_flow_that_was_silent_longest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostudp, "FLOWS", 2)
    loop = asyncio.get_running_loop()
    server, _ = await loop.create_datagram_endpoint(Shout, local_addr=("127.0.0.1", 0))
    carrier = hostudp.Carrier(server.get_extra_info("sockname")[:2])
    listening, _ = await loop.create_datagram_endpoint(lambda: carrier, local_addr=("127.0.0.1", 0))
    where, seen = listening.get_extra_info("sockname")[:2], []
    clients = [await loop.create_datagram_endpoint(Client, remote_addr=where) for _ in range(3)]
    for number in (0, 1, 0, 2, 0, 1):
        port = await asked(*clients[number], "x")
        seen.append((number, port))
    assert len({port for number, port in seen if number == 0}) == 1
    assert len({port for number, port in seen if number == 1}) == 2
    for transport in (listening, server, *(transport for transport, _ in clients)):
        transport.close()
    await asyncio.sleep(0)


async def dial(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(5):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
