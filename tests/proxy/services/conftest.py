"""A company LAN of the test's own: nodes and pods in namespaces, sockets in each, all in one forked child.

A story runs as an async function in a child that has its own user, network and mount namespace, so nothing of the
machine is touched, and ordinary users can run it too.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from panal import linux
from panal.agents.network.netlink import inside
from panal.agents.network.netns import NetnsLAN
from panal.agents.network.podnetns import NetnsPodNetwork

Story = Callable[["World"], Awaitable[None]]


class World:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lan = NetnsLAN("192.168.0.0/16", folder / "netns")
        self._pods: dict[str, NetnsPodNetwork] = {}
        self._paths: dict[str, str] = {}

    async def host(self, address: str) -> str:
        self._paths[address] = (await self._lan.add_host(f"h-{address}", address)).netns
        return address

    async def node(self, address: str, pod_cidr: str) -> str:
        self._paths[address] = (await self._lan.add_node(f"n-{address}", address, pod_cidr)).netns
        folder = self._folder / address
        folder.mkdir()
        with self.at(address):
            self._pods[address] = NetnsPodNetwork(pod_cidr, folder, pool=0)
        return address

    async def pod(self, node: str) -> str:
        with self.at(node):
            space = await self._pods[node].attach(f"sandbox-{len(self._paths)}")
        self._paths[space.address] = space.netns
        return space.address

    @contextmanager
    def at(self, address: str) -> Iterator[None]:
        """The calling thread is on that host, node or pod."""
        fd = os.open(self._paths[address], os.O_RDONLY)
        try:
            with inside(fd):
                yield
        finally:
            os.close(fd)

    def enter(self, address: str) -> None:
        """The story itself, and what it starts, is on that host from now on."""
        fd = os.open(self._paths[address], os.O_RDONLY)
        linux.setns(fd, linux.CLONE_NEWNET)
        os.close(fd)

    def serve_tcp(self, address: str, port: int, bind: str | None = None) -> socket.socket:
        """A server that says who it is and who asks: `10.10.1.2 192.168.0.100`."""
        with self.at(address):
            server = socket.create_server((bind or address, port))
        threading.Thread(target=_answer_tcp, args=(server, address), daemon=True).start()
        return server

    def serve_udp(self, address: str, port: int) -> socket.socket:
        with self.at(address):
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            server.bind((address, port))
        threading.Thread(target=_answer_udp, args=(server, address), daemon=True).start()
        return server

    async def ask(self, client: str, target: tuple[str, int]) -> tuple[str, str]:
        """(who answered, whom the answerer saw)."""
        reply = await asyncio.to_thread(self._ask, client, target)
        answered, saw = reply.split()
        return answered, saw

    def _ask(self, client: str, target: tuple[str, int]) -> str:
        with self.at(client), socket.create_connection(target, timeout=3) as connection:
            return connection.recv(100).decode()

    def udp_client(self, client: str) -> socket.socket:
        with self.at(client):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(2)
        return sock


def _answer_tcp(server: socket.socket, name: str) -> None:
    while True:
        try:
            connection, peer = server.accept()
        except OSError:
            return
        with connection:
            connection.sendall(f"{name} {peer[0]}".encode())


def _answer_udp(server: socket.socket, name: str) -> None:
    while True:
        try:
            _, peer = server.recvfrom(1000)
            server.sendto(f"{name} {peer[0]}".encode(), peer)
        except OSError:
            return


@pytest.fixture
def in_world(tmp_path: Path) -> Callable[[Story], None]:
    """Runs a story in a world; what it raises fails the test."""

    def run(story: Story) -> None:
        uid, gid = os.getuid(), os.getgid()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            complaint = _tell(story, tmp_path, uid, gid)
            os.write(writer, complaint.encode()[-60000:])
            sys.stderr.flush()
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            complaint = pipe.read().decode()
        os.waitpid(pid, 0)
        if complaint == "refused":
            pytest.skip("namespaces are refused here")
        assert not complaint, complaint

    return run


def _tell(story: Any, folder: Path, uid: int, gid: int) -> str:
    try:
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET | linux.CLONE_NEWNS)
        linux.map_user(uid, gid)
        linux.mount("", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    except OSError:
        return "refused"
    try:
        asyncio.run(story(World(folder)))
    except BaseException:
        return traceback.format_exc()
    return ""
