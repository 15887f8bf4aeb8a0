"""The load balancer as a process, against the real API server, with real servers as node ports."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from panal import unixsock
from panal.client import Client
from panal.resources import EVENTS, NAMESPACES, NODES, SERVICES

from ...ports import free_port

OWN = "127.168.0.10"
NODES_ADDRESSES = {"nodoa": "127.168.0.101", "nodob": "127.168.0.102"}


class NodePorts:
    """Servers that stand for the nodes' NodePorts: each says its node's address. They can be stopped and started."""

    def __init__(self) -> None:
        self._servers: dict[tuple[str, int], socket.socket] = {}

    def start(self, address: str, port: int) -> None:
        server = socket.create_server((address, port))
        self._servers[address, port] = server

        def run() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(ConnectionError):
                    connection.sendall(address.encode())

        threading.Thread(target=run, daemon=True).start()

    def stop(self, address: str, port: int) -> None:
        server = self._servers.pop((address, port))
        server.shutdown(socket.SHUT_RDWR)
        server.close()

    def close(self) -> None:
        for address, port in list(self._servers):
            self.stop(address, port)


@pytest.fixture
def node_ports() -> Iterator[NodePorts]:
    ports = NodePorts()
    yield ports
    ports.close()


class Balancers:
    def __init__(self, server: Any, folder: Path) -> None:
        self._server, self._folder = server, folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        user = self._server.user("panal:load-balancer", "panal:lan", "system:masters")
        command = [
            sys.executable, "-m", "panal.proxy.loadbalancer", f"--kubeconfig={user}", f"--address={OWN}",
            "--pool=127.168.0.11-127.168.0.12", f"--status-socket={self._folder / 'lb.sock'}", *arguments,
        ]  # fmt: skip
        with open(self._folder / "lb.log", "ab") as log:
            self.process = subprocess.Popen(command, stderr=log, env={**os.environ, "PANAL_NETWORK": "loopback"})

    def state(self) -> dict[str, Any]:
        with unixsock.connect(self._folder / "lb.sock") as sock:
            sock.setblocking(True)
            return orjson.loads(b"".join(iter(lambda: sock.recv(65536), b"")))  # type: ignore[no-any-return]

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(5)


@pytest.fixture
def balancer(loopback_apiserver: Any, tmp_path: Path) -> Iterator[Balancers]:
    started = Balancers(loopback_apiserver, tmp_path)
    yield started
    if started.process is not None and started.process.poll() is None:
        started.stop(signal.SIGKILL)


@pytest.fixture
async def cluster(client: Client) -> None:
    """Two Ready nodes."""
    for name, address in NODES_ADDRESSES.items():
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        if not (await client.list(NODES, field_selector=f"metadata.name={name}"))["items"]:
            await client.create(NODES, node)
        status = {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        await client.patch(NODES, name, {"status": status}, subresource="status")


@pytest.fixture
async def namespace(client: Client) -> str:
    name = f"test-{uuid.uuid4().hex[:8]}"
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def ask(address: str, port: int) -> str:
    with socket.create_connection((address, port), timeout=3) as connection:
        return connection.recv(100).decode()


async def test_a_frontend_spreads_over_the_healthy_nodes(
    cluster: None, balancer: Balancers, node_ports: NodePorts, port: int, until: Any
) -> None:
    first, second = NODES_ADDRESSES.values()
    node_port = free_port()
    for address in (first, second):
        node_ports.start(address, node_port)
    balancer.start(f"--frontend={port}:{node_port}")
    await until(lambda: {ask(OWN, port) for _ in range(2)} == {first, second})

    node_ports.stop(first, node_port)
    assert {ask(OWN, port) for _ in range(6)} == {second}, "a client noticed that a node went away"
    await until(lambda: {"address": f"{first}:{node_port}", "up": False} in balancer.state()["targets"])
    node_ports.start(first, node_port)
    await until(lambda: {ask(OWN, port) for _ in range(2)} == {first, second})
    assert balancer.stop() == 0


async def test_a_service_gets_an_address_and_gives_it_back(
    client: Client, cluster: None, balancer: Balancers, namespace: str, node_ports: NodePorts, port: int, until: Any
) -> None:
    balancer.start()
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"type": "LoadBalancer", "ports": [{"port": port, "protocol": "TCP"}]},
    }
    created = await client.create(SERVICES, service)
    node_ports.start(NODES_ADDRESSES["nodoa"], created["spec"]["ports"][0]["nodePort"])

    async def ingress() -> Any:
        return (await client.get(SERVICES, "web", namespace))["status"]["loadBalancer"].get("ingress")

    (given,) = await until(ingress)
    assert given["ipMode"] == "VIP"
    assert given["ip"] in ("127.168.0.11", "127.168.0.12")
    await until(lambda: ask(given["ip"], port) == NODES_ADDRESSES["nodoa"])

    async def events() -> Any:
        listed = await client.list(EVENTS, namespace)
        reasons = {item["reason"]: item["message"] for item in listed["items"]}
        return reasons if len(reasons) > 1 else None

    assert await until(events) == {
        "IPAllocated": f'Assigned IP ["{given["ip"]}"]',
        "nodeAssigned": 'announcing from node "lb" with protocol "layer2"',
    }

    balancer.stop(signal.SIGKILL)
    balancer.start()
    await until(lambda: ask(given["ip"], port) == NODES_ADDRESSES["nodoa"])

    await client.patch(SERVICES, "web", {"spec": {"type": "ClusterIP"}}, namespace)
    await until(lambda: balancer.state()["services"] == {})

    async def cleared() -> bool:
        return not await ingress()

    await until(cleared)
    with pytest.raises(ConnectionRefusedError):
        ask(given["ip"], port)


async def test_sockets_of_the_edge_lead_to_the_first_frontend(
    cluster: None, balancer: Balancers, node_ports: NodePorts, tmp_path: Path, port: int, until: Any
) -> None:
    node_port = free_port()
    node_ports.start(NODES_ADDRESSES["nodoa"], node_port)
    with socket.create_server(("127.0.0.1", 0)) as http, unixsock.listen(tmp_path / "edge.sock") as edge:
        edge.setblocking(True)

        def hand_out() -> None:
            client, _ = edge.accept()
            with client:
                assert client.recv(16) == b"http\n"
                socket.send_fds(client, [b"\n"], [http.fileno()])

        threading.Thread(target=hand_out, daemon=True).start()
        balancer.start(f"--frontend={port}:{node_port}", f"--edge-socket={tmp_path / 'edge.sock'}")
        http_port = http.getsockname()[1]
        assert await until(lambda: ask("127.0.0.1", http_port)) == NODES_ADDRESSES["nodoa"]
