"""The agent: a plug in this machine's LAN, connections to other machines' agents, and routes to their pods.

The control plane's agent listens and relays between those that can't reach each other; the others dial out to it, again
and again. It runs in a node's network namespace, from where the API server is reached through the LAN itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from panal.agents.network.machine import set_routes
from panal.agents.network.netlink import inside
from panal.client import Client
from panal.informer import Delta, Informer
from panal.resources import NODES

from . import doors, switch, world
from .directly import Directly
from .link import SILENCE, Link

ROUND = 64
"""Packets that are taken from the LAN before the connections have their turn."""
LARGEST = 1 << 17
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0
"""Seconds between attempts to reach the control plane's agent; a sleeping machine comes back at any time."""
DIAL_SECONDS = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where the agent is."""

    edge: Path
    hosts: dict[str, tuple[str, str]]
    """The hosts of the LAN that are on this machine and route: name -> (address, path of the network namespace)."""
    here: frozenset[bytes]
    """The addresses of all hosts of the LAN that are on this machine, packed."""
    nodes: frozenset[str]
    """Names of the nodes on this machine."""
    pools: tuple[switch.Pool, ...] = ()
    uplink: tuple[str, int] | None = None
    """Address and port of the control plane's agent; None: it is this one."""
    center: str = ""
    """The control plane's node, whose agent that is."""
    own: tuple[str, bytes] = ("", b"")
    """The node in whose name this agent speaks, and its address on the LAN."""
    underlay: str = ""
    """The machine's own address, as others know it; "": it is found by dialling out."""
    vxlan: tuple[str, int] | None = None
    """The network namespace of the LAN's bridge and the UDP port, where machines may be reached directly."""


class Agent:
    """Frames between the LAN here and the others."""

    def __init__(self, place: Place, tap: socket.socket, client: Client) -> None:
        self._place = place
        self._tap = tap
        self._nodes = Informer(client, NODES)
        self._links: dict[bytes, Link] = {}
        self._uplink: Link | None = None
        self._view = memoryview(bytearray(LARGEST))
        self._changed = asyncio.Event()
        self._client = client
        self._directly: Directly | None = None

    async def run(self, context: Callable[[], ssl.SSLContext]) -> None:
        """Until cancelled. `context` is asked for each connection: certificates are renewed."""
        self._nodes.subscribe(self._on_node)
        asyncio.get_running_loop().add_reader(self._tap, self._from_lan)
        place = self._place
        if place.vxlan is not None:
            self._directly = Directly.open(place.edge, *place.vxlan, place.here, place.own[1], place.center)
        async with asyncio.TaskGroup() as group:
            if self._directly is not None:
                group.create_task(self._directly.run(), name="probe direct ways")
            group.create_task(self._nodes.run(), name="watch nodes")
            group.create_task(self._keep_routes(), name="routes")
            if self._place.uplink is None:
                await self._listen(context())
            else:
                await self._keep_uplink(context)

    # Frames

    def _from_lan(self) -> None:
        for _ in range(ROUND):
            try:
                size = self._tap.recv_into(self._view)
            except BlockingIOError:
                return
            except OSError as error:
                _log.warning("the LAN's device: %s", error)
                return
            frame = self._view[:size]
            target = switch.destination(frame)
            if target is None:
                if (reply := switch.answer(frame, self._is_remote)) is not None:
                    self._to_lan(reply)
            elif switch.is_carried(frame) and (link := self._link_to(target)) is not None:
                link.send(frame)

    def _to_lan(self, frame: bytes | memoryview) -> None:
        try:
            self._tap.send(frame)
        except BlockingIOError:
            return
        except OSError as error:
            _log.debug("a frame that the LAN refuses: %s", error)

    def _is_remote(self, address: bytes) -> bool:
        if address in self._place.here:
            return False
        return self._link_to(address) is not None or (self._directly is not None and address in self._directly.used)

    def _link_to(self, address: bytes) -> Link | None:
        return self._links.get(address) or (self._uplink if address not in self._place.here else None)

    def _from_link(self, link: Link, frame: memoryview) -> None:
        if not switch.is_carried(frame):
            return
        if link is not self._uplink and switch.sender(frame) != link.address:
            return
        target = switch.destination(frame)
        if target is None:
            return
        if target in self._place.here:
            self._to_lan(frame)
        elif link is not self._uplink:
            if (other := self._links.get(target)) is not None:
                other.send(frame)
            elif (found := switch.redirected(frame, self._place.pools)) is not None:
                self._to_lan(found[1])

    # Connections

    async def _listen(self, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        await self._nodes.synced()
        await self._tell(self._place.underlay)
        for listener in doors.fetch(self._place.edge, doors.RELAY):
            await loop.create_server(lambda: Link(self._admit, self._from_link, self._left), sock=listener, ssl=context)
        _log.info("listening for other machines")
        await loop.create_future()

    def _admit(self, link: Link) -> str | None:
        """A node has dialled; a connection it had before is over: its machine slept, or moved."""
        node = self._nodes.get("", link.node)
        why = world.refusal(node, link.node, self._place.here, self._nodes.all())
        if why is not None or node is None:
            return why
        link.address = world.remote_address(node) or b""
        before = self._links.get(link.address)
        self._links[link.address] = link
        if before is not None:
            before.refuse("this node has connected again")
        _log.info("%s is connected as %s", link.node, socket.inet_ntoa(link.address))
        return None

    def _left(self, link: Link) -> None:
        if self._links.get(link.address) is link:
            del self._links[link.address]
            _log.info("%s is disconnected (%d packets were dropped)", link.node, link.dropped)

    async def _keep_uplink(self, context: Callable[[], ssl.SSLContext]) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                link = await self._dial(context())
            except (OSError, TimeoutError) as error:
                _log.info("the control plane's agent can't be reached: %s", error or type(error).__name__)
            else:
                self._uplink, pause = link, FIRST_PAUSE
                _log.info("connected to %s", link.node)
                await self._tell(self._place.underlay or link.local)
                await link.ended
                self._uplink = None
                _log.warning("the connection to %s has ended%s", link.node, f": {link.reason}" if link.reason else "")
                if link.reason:
                    pause = LONGEST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _dial(self, context: ssl.SSLContext) -> Link:
        assert self._place.uplink is not None
        loop = asyncio.get_running_loop()
        host, port = self._place.uplink
        (outside,) = doors.fetch(self._place.edge, doors.DIAL)
        try:
            outside.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SILENCE * 1000))
            async with asyncio.timeout(DIAL_SECONDS):
                await loop.sock_connect(outside, (host, port))
                _, link = await loop.create_connection(
                    lambda: Link(self._center_only, self._from_link, lambda _: None),
                    sock=outside, ssl=context, server_hostname=host,
                )  # fmt: skip
        except BaseException:
            outside.close()
            raise
        return link

    async def _tell(self, underlay: str) -> None:
        if self._directly is not None and underlay:
            await self._directly.tell(self._client, self._place.own[0], underlay)

    def _center_only(self, link: Link) -> str | None:
        return None if link.node == self._place.center else f"this should be {self._place.center!r}"

    # Nodes

    def _on_node(self, delta: Delta) -> None:
        self._changed.set()

    async def _keep_routes(self) -> None:
        await self._nodes.synced()
        last: list[object] = []
        while True:
            self._changed.clear()
            nodes = self._nodes.all()
            self._drop_removed()
            if self._directly is not None:
                self._directly.known(nodes)
            now: list[object] = [world.routes(nodes, name, self._place.nodes) for name in self._place.hosts]
            if now != last and self._set_routes():
                last = now
            await self._changed.wait()

    def _set_routes(self) -> bool:
        nodes, good = self._nodes.all(), True
        for name, (address, path) in self._place.hosts.items():
            want = world.routes(nodes, name, self._place.nodes)
            try:
                with _namespace(path):
                    refused = set_routes(want, address)
            except OSError as error:
                _log.error("the routes of %s can't be set: %s", name, error)
                good = False
                continue
            for cidr, reason in refused.items():
                _log.error("%s gets no route to the pods %s by way of %s", name, cidr, reason)
        return good

    def _drop_removed(self) -> None:
        if self._place.uplink is not None:
            return
        for link in list(self._links.values()):
            node = self._nodes.get("", link.node)
            why = world.refusal(node, link.node, self._place.here, self._nodes.all())
            if why is not None:
                link.refuse(why)


@contextlib.contextmanager
def _namespace(path: str):  # type: ignore[no-untyped-def]
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with inside(descriptor):
            yield
    finally:
        os.close(descriptor)
