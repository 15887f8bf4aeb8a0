"""Network devices, addresses, routes and neighbours by rtnetlink(7), without a library.

A cluster's start needs a dozen kinds of request; a general library takes longer to import than the whole LAN takes to
build. Requests are queued and sent together: `flush` sends what is queued, waits for every answer and raises the first
error. A `Netlink` belongs to the network namespace it was opened in, wherever its thread goes later.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from panal import linux

NETLINK_ROUTE = 0
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH = 28
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLA_F_NESTED = 0x8000

IFF_UP = 1
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_FD = 1, 3, 10, 18, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF, RTA_GATEWAY = 1, 4, 5
NDA_DST, NDA_LLADDR = 1, 2
NUD_PERMANENT = 0x80
RT_TABLE_MAIN, RTPROT_STATIC, RTN_UNICAST = 254, 4, 1
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_SCOPE_NOWHERE = 0, 253, 255
RTNH_F_ONLINK = 4

ROUTE, ADDRESS = struct.Struct("=BBBBBBBBI"), struct.Struct("=BBBBI")
"""struct rtmsg and struct ifaddrmsg."""

BATCH = 64
"""Requests a message train holds; far below a socket's default buffers."""


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """Those of a message, by kind."""
    found: dict[int, bytes] = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            break
        found[kind] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def string(text: str) -> bytes:
    return text.encode() + b"\0"


def number(value: int) -> bytes:
    return struct.pack("=I", value)


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def link_header(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    """struct ifinfomsg."""
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


class Netlink:
    """A route socket of the current network namespace, or the given one, of the namespace where it was made."""

    def __init__(self, given: socket.socket | None = None) -> None:
        self._socket = given or socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._sequence = 0
        self._queue: list[tuple[int, bytes, str]] = []

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_bridge(self, name: str) -> None:
        info = attribute(IFLA_LINKINFO | NLA_F_NESTED, attribute(IFLA_INFO_KIND, string("bridge")))
        body = link_header(flags=IFF_UP, change=IFF_UP) + attribute(IFLA_IFNAME, string(name)) + info
        self._enqueue(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"add bridge {name}")

    def add_veth(
        self, name: str, address: str, peer: str, peer_address: str, peer_netns: int, *, master: int | None = None
    ) -> None:
        """A pair: `name` here, up, in the bridge `master` if given; `peer`, down, in the other namespace."""
        peer_link = (
            link_header()
            + attribute(IFLA_IFNAME, string(peer))
            + attribute(IFLA_ADDRESS, mac(peer_address))
            + attribute(IFLA_NET_NS_FD, number(peer_netns))
        )
        data = attribute(IFLA_INFO_DATA | NLA_F_NESTED, attribute(VETH_INFO_PEER | NLA_F_NESTED, peer_link))
        info = attribute(IFLA_LINKINFO | NLA_F_NESTED, attribute(IFLA_INFO_KIND, string("veth")) + data)
        body = (
            link_header(flags=IFF_UP, change=IFF_UP)
            + attribute(IFLA_IFNAME, string(name))
            + attribute(IFLA_ADDRESS, mac(address))
        )
        if master is not None:
            body += attribute(IFLA_MASTER, number(master))
        self._enqueue(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body + info, f"add veth {name}")

    def delete_link(self, name: str) -> None:
        self._enqueue(RTM_DELLINK, 0, link_header() + attribute(IFLA_IFNAME, string(name)), f"delete link {name}")

    def set_up(self, index: int) -> None:
        self._enqueue(RTM_NEWLINK, 0, link_header(index, IFF_UP, IFF_UP), f"set link {index} up")

    def add_address(self, index: int, address: str, prefix: int) -> None:
        packed = socket.inet_aton(address)
        body = struct.pack("=BBBBI", socket.AF_INET, prefix, 0, RT_SCOPE_UNIVERSE, index)
        body += attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
        self._enqueue(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body, f"add address {address}/{prefix}")

    def add_route(
        self,
        destination: str,
        prefix: int,
        *,
        index: int,
        gateway: str | None = None,
        onlink: bool = False,
        protocol: int = RTPROT_STATIC,
    ) -> None:
        """Send `destination` by a device, by way of `gateway` if given; `onlink`: that needs no route itself.

        `protocol` is the mark by which `routes` finds it again.
        """
        scope = RT_SCOPE_LINK if gateway is None else RT_SCOPE_UNIVERSE
        flags = RTNH_F_ONLINK if onlink else 0
        body = ROUTE.pack(socket.AF_INET, prefix, 0, 0, RT_TABLE_MAIN, protocol, scope, RTN_UNICAST, flags)
        body += attribute(RTA_DST, socket.inet_aton(destination)) if prefix else b""
        body += attribute(RTA_OIF, number(index))
        body += attribute(RTA_GATEWAY, socket.inet_aton(gateway)) if gateway is not None else b""
        self._enqueue(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body, f"add route {destination}/{prefix}")

    def delete_route(self, destination: str, prefix: int, protocol: int) -> None:
        """The one with this mark."""
        body = ROUTE.pack(socket.AF_INET, prefix, 0, 0, RT_TABLE_MAIN, protocol, RT_SCOPE_NOWHERE, RTN_UNICAST, 0)
        body += attribute(RTA_DST, socket.inet_aton(destination))
        self._enqueue(RTM_DELROUTE, 0, body, f"delete route {destination}/{prefix}")

    def routes(self, protocol: int) -> Iterator[tuple[str, str]]:
        """(network, gateway) of this namespace's routes with this mark."""
        for body in list(self._dump(RTM_GETROUTE, ROUTE.pack(socket.AF_INET, *[0] * 8))):
            _, prefix, _, _, table, mark, _, _, _ = ROUTE.unpack_from(body)
            found = attributes(body[ROUTE.size :])
            if (table, mark) == (RT_TABLE_MAIN, protocol) and RTA_DST in found and RTA_GATEWAY in found:
                yield f"{socket.inet_ntoa(found[RTA_DST])}/{prefix}", socket.inet_ntoa(found[RTA_GATEWAY])

    def device_of(self, address: str) -> int:
        """The number of the device that has this address. Raises OSError (EADDRNOTAVAIL) when none has."""
        wanted = socket.inet_aton(address)
        found = None
        for body in list(self._dump(RTM_GETADDR, ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0))):
            if attributes(body[ADDRESS.size :]).get(IFA_LOCAL) == wanted:
                found = int(ADDRESS.unpack_from(body)[4])
        if found is None:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL), address)
        return found

    def _dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """The bodies of what there is of that kind."""
        self.flush()
        self._sequence += 1
        self._socket.send(self._frame(kind, NLM_F_REQUEST | NLM_F_DUMP, self._sequence, body))
        while True:
            for answer, sequence, payload in self._answers():
                if sequence != self._sequence:
                    continue
                if answer == NLMSG_ERROR:
                    self._check(payload, "list")
                if answer in (NLMSG_DONE, NLMSG_ERROR):
                    return
                yield payload

    def add_neighbour(self, index: int, address: str, link_address: str) -> None:
        """`address` is at `link_address`, for good: nobody needs to be asked."""
        body = struct.pack("=BxxxiHBB", socket.AF_INET, index, NUD_PERMANENT, 0, 0)
        body += attribute(NDA_DST, socket.inet_aton(address)) + attribute(NDA_LLADDR, mac(link_address))
        self._enqueue(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body, f"add neighbour {address}")

    def index(self, name: str) -> int:
        """The device's number in this namespace. Raises OSError (ENODEV) when there is none of that name."""
        self.flush()
        self._sequence += 1
        body = link_header() + attribute(IFLA_IFNAME, string(name))
        self._socket.send(self._frame(RTM_GETLINK, NLM_F_REQUEST, self._sequence, body))
        for kind, _, payload in self._answers():
            if kind == NLMSG_ERROR:
                self._check(payload, f"find link {name}")
            elif kind == RTM_NEWLINK:
                return int(struct.unpack_from("=i", payload, 4)[0])
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), name)

    def flush(self) -> None:
        """Send what is queued. Raises the first OSError; what stood behind it in the queue was tried all the same."""
        queue, self._queue = self._queue, []
        for start in range(0, len(queue), BATCH):
            self._exchange(queue[start : start + BATCH])

    def _exchange(self, requests: list[tuple[int, bytes, str]]) -> None:
        self._socket.send(b"".join(frame for _, frame, _ in requests))
        waiting = {sequence: what for sequence, _, what in requests}
        failure: OSError | None = None
        while waiting:
            for kind, sequence, payload in self._answers():
                if kind != NLMSG_ERROR or sequence not in waiting:
                    continue
                try:
                    self._check(payload, waiting.pop(sequence))
                except OSError as error:
                    failure = failure or error
        if failure is not None:
            raise failure

    def request(self, kind: int, flags: int, body: bytes, what: str) -> None:
        """Queue one that has no method here."""
        self._enqueue(kind, flags, body, what)

    def _enqueue(self, kind: int, flags: int, body: bytes, what: str) -> None:
        self._sequence += 1
        frame = self._frame(kind, NLM_F_REQUEST | NLM_F_ACK | flags, self._sequence, body)
        self._queue.append((self._sequence, frame, what))

    @staticmethod
    def _frame(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
        frame = struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body
        return frame + bytes(-len(frame) % 4)

    def _answers(self) -> Iterator[tuple[int, int, bytes]]:
        data = self._socket.recv(1 << 16)
        offset = 0
        while offset + 16 <= len(data):
            length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data, offset)
            yield kind, sequence, data[offset + 16 : offset + length]
            offset += (length + 3) & ~3

    @staticmethod
    def _check(payload: bytes, what: str) -> None:
        code = -struct.unpack_from("=i", payload)[0]
        if code:
            raise OSError(code, os.strerror(code), what)


@contextmanager
def inside(fd: int) -> Iterator[None]:
    """Run a few synchronous lines in another network namespace, on this thread."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        linux.setns(fd, linux.CLONE_NEWNET)
        try:
            yield
        finally:
            linux.setns(home, linux.CLONE_NEWNET)
    finally:
        os.close(home)


def open_inside(fd: int) -> Netlink:
    """A route socket of the network namespace that `fd` is open on."""
    with inside(fd):
        return Netlink()


def new_namespace() -> int:
    """A new network namespace, as a descriptor; this thread stays where it is."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        linux.unshare(linux.CLONE_NEWNET)
        try:
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            linux.setns(home, linux.CLONE_NEWNET)
    finally:
        os.close(home)
