"""kube-proxy as a process, against the real API server: from a Service to a connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from panal import unixsock
from panal.addresses import low_ports_bindable
from panal.client import Client
from panal.proxy.services import nft
from panal.resources import ENDPOINTSLICES, NAMESPACES, NODES, SERVICES

NODE_IPS = {"nodoa": "127.168.0.101", "nodob": "127.168.0.102"}


class Proxies:
    """kube-proxies of several nodes, in one loopback network."""

    def __init__(self, server: Any, folder: Path) -> None:
        self._server, self._folder = server, folder
        self.node_ips = NODE_IPS
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, node: str, mode: str = "userspace", network: str = "loopback") -> None:
        command = [
            sys.executable, "-m", "panal.proxy.services", f"--proxy-mode={mode}", f"--hostname-override={node}",
            f"--kubeconfig={self._server.user('system:kube-proxy', 'system:masters')}",
            f"--node-ip={self.node_ips[node]}",
            f"--table-socket={self.socket(node)}", "--cluster-cidr=10.10.0.0/16",
        ]  # fmt: skip
        with open(self._folder / f"{node}.log", "ab") as log:
            environment = {**os.environ, "PANAL_NETWORK": network}
            if network == "loopback" and not low_ports_bindable():  # as the steward does for an ordinary user
                environment["PANAL_LOW_PORTS"] = "shifted"
            self.processes[node] = subprocess.Popen(command, stderr=log, env=environment)

    def socket(self, node: str) -> Path:
        folder = self._folder / ("a-folder-with-a-long-name-" * 5)
        folder.mkdir(exist_ok=True)
        return folder / f"{node}.sock"

    def table(self, node: str) -> dict[str, Any]:
        with unixsock.connect(self.socket(node)) as sock:
            sock.setblocking(True)
            sock.sendall(b"json\n")
            data = b"".join(iter(lambda: sock.recv(65536), b""))
        return orjson.loads(data)  # type: ignore[no-any-return]

    def flow(self, node: str, client: str, destination: str) -> Any:
        with unixsock.connect(self.socket(node)) as sock:
            sock.setblocking(True)
            sock.sendall(f"flow {client} {destination}\n".encode())
            return orjson.loads(b"".join(iter(lambda: sock.recv(65536), b"")))

    def watch(self, node: str) -> Iterator[Any]:
        """What `panal rules --watch` is told, after the greeting."""
        with unixsock.connect(self.socket(node)) as sock, sock.makefile("rb") as stream:
            sock.settimeout(10)
            sock.sendall(b"watch\n")
            yield from (orjson.loads(line) for line in stream)

    def log(self, node: str) -> str:
        return (self._folder / f"{node}.log").read_text()

    def kill(self, node: str) -> None:
        process = self.processes.pop(node)
        process.kill()
        process.wait()

    def close(self) -> None:
        for node in list(self.processes):
            self.kill(node)


@pytest.fixture
def proxies(loopback_apiserver: Any, short_path: Path) -> Iterator[Proxies]:
    started = Proxies(loopback_apiserver, short_path)
    yield started
    started.close()


@pytest.fixture
async def namespace(client: Client) -> str:
    name = f"test-{uuid.uuid4().hex[:8]}"
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


@pytest.fixture
def named() -> Iterator[Callable[[str], int]]:
    """A server on 127.0.0.1 that says its name."""
    servers: list[socket.socket] = []

    def start(name: str) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def run() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):  # cut with its endpoint
                    connection.sendall(name.encode())

        threading.Thread(target=run, daemon=True).start()
        return int(server.getsockname()[1])

    yield start
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def service(namespace: str, port: int, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"ports": [{"port": port, "protocol": "TCP"}], **spec},
    }


def endpoints(namespace: str, name: str, port: int, ip: str = "127.0.0.1") -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [ip], "nodeName": "nodoa", "conditions": {"ready": True}}],
    }


def ask(address: str, port: int) -> str:
    try:
        with socket.create_connection((address, port), timeout=3) as connection:
            return connection.recv(100).decode()
    except ConnectionResetError:  # cut with its endpoint
        return ""


def refuses(address: str, port: int) -> bool:
    try:
        return not ask(address, port)
    except ConnectionRefusedError:
        return True


async def test_a_service_answers_on_every_node_and_survives_kills(
    client: Client, proxies: Proxies, namespace: str, named: Any, port: int, until: Any
) -> None:
    for node in NODE_IPS:
        proxies.start(node)
    created = await client.create(SERVICES, service(namespace, port, type="NodePort"))
    address, node_port = created["spec"]["clusterIP"], created["spec"]["ports"][0]["nodePort"]
    for name in ("a", "b"):
        await client.create(ENDPOINTSLICES, endpoints(namespace, f"web-{name}", named(name)))
    await until(lambda: {ask(address, port) for _ in range(4)} == {"a", "b"})
    for node_ip in NODE_IPS.values():
        await until(lambda ip=node_ip: {ask(ip, node_port) for _ in range(2)} == {"a", "b"})

    await client.delete(ENDPOINTSLICES, "web-a", namespace)
    await until(lambda: {ask(address, port) for _ in range(10)} == {"b"})

    proxies.kill("nodob")
    await until(lambda: all(ask(address, port) == "b" for _ in range(10)))
    proxies.start("nodob")
    await until(lambda: ask(NODE_IPS["nodob"], node_port) == "b")

    await client.delete(SERVICES, "web", namespace)

    await until(lambda: refuses(address, port))
    process = proxies.processes["nodoa"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0, proxies.log("nodoa")


async def test_the_table_is_shown_on_its_socket(
    client: Client, proxies: Proxies, namespace: str, named: Any, port: int, until: Any
) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "nodoa"}}
    await client.create(NODES, node)
    proxies.start("nodoa")
    created = await client.create(SERVICES, service(namespace, port))
    server = named("a")
    await client.create(ENDPOINTSLICES, endpoints(namespace, "web-a", server))
    line = f"{created['spec']['clusterIP']}:{port}"

    def shown() -> Any:
        table = proxies.table("nodoa")
        return table if any(text.startswith(line) and str(server) in text for text in table["lines"]) else None

    table = await until(shown)
    assert (table["mode"], table["node"]) == ("userspace", "nodoa")
    (mine,) = [item for item in table["services"] if item["namespace"] == namespace]
    assert mine["endpoints"] == [{"ip": "127.0.0.1", "port": server, "local": True}]
    assert await until(lambda: healthz(NODE_IPS["nodoa"]))
    assert proxies.socket("nodoa").stat().st_mode & 0o777 == 0o600

    watch = proxies.watch("nodoa")
    assert await asyncio.to_thread(next, watch) == {"node": "nodoa", "mode": "userspace"}
    await client.delete(ENDPOINTSLICES, "web-a", namespace)
    change = await asyncio.to_thread(next, watch)
    assert (change["op"], change["address"], change["endpoints"]) == ("-", line, [f"127.0.0.1:{server}"])
    assert change["text"].startswith(f"- {line}  (")
    assert 0 < change["milliseconds"] < 5000


def healthz(address: str) -> bool:
    with socket.create_connection((address, 10256), timeout=3) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    return answer.startswith(b"HTTP/1.1 200") and b"lastUpdated" in answer


async def test_it_goes_on_while_the_api_server_is_away_and_picks_up_afterwards(
    make_apiserver: Any, short_path: Path, named: Any, port: int, until: Any
) -> None:
    home = short_path / "apiserver"
    home.mkdir()
    server = make_apiserver(home, loopback=True)
    server.start()
    proxies = Proxies(server, short_path)
    try:
        async with Client.from_kubeconfig(server.user("tester", "system:masters")) as client:
            proxies.start("nodoa")
            created = await client.create(SERVICES, service("default", port))
            await client.create(ENDPOINTSLICES, endpoints("default", "web-a", named("a")))
            address = created["spec"]["clusterIP"]
            await until(lambda: ask(address, port) == "a")
            server.stop(signal.SIGKILL)
            assert ask(address, port) == "a"
            server.start()
            another = endpoints("default", "web-b", named("b"))
            await until(lambda: client.create(ENDPOINTSLICES, another))
            await until(lambda: {ask(address, port) for _ in range(2)} == {"a", "b"})
    finally:
        proxies.close()
        server.stop(signal.SIGKILL)


@pytest.mark.nft
@pytest.mark.skipif(not os.environ.get("CI") and nft.find(os.environ) is None, reason="no nft here")
def test_a_killed_proxy_leaves_its_rules_in_force(
    in_world: Any, make_apiserver: Any, short_path: Path, port: int, until: Any
) -> None:
    async def story(world: Any) -> None:
        node, client_pc = await world.node("192.168.0.101", "10.10.8.0/24"), await world.host("192.168.0.200")
        first, second = await world.pod(node), await world.pod(node)
        for pod in (first, second):
            world.serve_tcp(pod, 80)
        world.enter(node)
        home = short_path / "apiserver"
        home.mkdir()
        server = make_apiserver(home)
        server.start()
        proxies = Proxies(server, short_path)
        proxies.node_ips = {"nodoa": node}
        try:
            async with Client.from_kubeconfig(server.user("tester", "system:masters")) as client:
                proxies.start("nodoa", "netfilter", "netns")
                created = await client.create(SERVICES, service("default", port, type="NodePort"))
                address, node_port = created["spec"]["clusterIP"], created["spec"]["ports"][0]["nodePort"]
                await client.create(ENDPOINTSLICES, endpoints("default", "web-a", 80, first))
                assert await until(lambda: world.ask(second, (address, port))) == (first, second)
                assert await world.ask(client_pc, (node, node_port)) == (first, node)
                assert await world.ask(node, (address, port)) == (first, node)
                proxies.kill("nodoa")
                assert await world.ask(second, (address, port)) == (first, second)
                await client.delete(ENDPOINTSLICES, "web-a", "default")
                await client.create(ENDPOINTSLICES, endpoints("default", "web-b", 80, second))
                proxies.start("nodoa", "netfilter", "netns")

                async def moved() -> bool:
                    return (await world.ask(node, (address, port)))[0] == second

                await until(moved)
                assert proxies.table("nodoa")["mode"] == "netfilter"
        finally:
            proxies.close()
            server.stop(signal.SIGKILL)

    in_world(story)


async def test_a_connection_is_told_with_its_rule_and_its_endpoint(
    client: Client, proxies: Proxies, namespace: str, named: Any, port: int, until: Any
) -> None:
    proxies.start("nodoa")
    created = await client.create(SERVICES, service(namespace, port))
    address, server = created["spec"]["clusterIP"], named("a")
    await client.create(ENDPOINTSLICES, endpoints(namespace, "web-a", server))
    await until(lambda: ask(address, port) == "a")
    with socket.create_connection((address, port), timeout=3) as connection:
        assert connection.recv(1) == b"a"
        mine = "{}:{}".format(*connection.getsockname())
        told = proxies.flow("nodoa", mine, f"{address}:{port}")
    assert (told["node"], told["mode"], told["rule"]["kind"]) == ("nodoa", "userspace", "ClusterIP")
    assert (told["rule"]["service"], told["rule"]["candidates"]) == ("web", [f"127.0.0.1:{server}"])
    assert (told["flow"]["client"], told["flow"]["target"]) == (mine, f"127.0.0.1:{server}")
    assert proxies.flow("nodoa", "127.0.0.1:1", f"{address}:{port}")["flow"] is None
    assert proxies.flow("nodoa", mine, "127.0.0.1:1")["rule"] is None
    for words in (("x", "y"), (mine, "127.0.0.1:99999"), (mine, "a:1")):
        assert "error" in proxies.flow("nodoa", *words)
