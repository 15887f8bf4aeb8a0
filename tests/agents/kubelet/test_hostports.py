"""A port of the node leads to a pod while the pod wants it."""

from __future__ import annotations

import asyncio
from typing import Any

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


async def dial(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(5):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
