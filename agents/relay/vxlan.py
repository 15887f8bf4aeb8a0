"""The VXLAN device (RFC 7348): a port of the LAN's bridge whose other end is in the machine's own network.

Only root may make one; whoever may not gets an OSError, and relays. Made over a netlink socket of the machine's network
(the keeper hands it out), the device lies in the steward's network and its packets go out of the machine's. It learns
and floods nothing: an address is sent this way only where `use` says so. What goes over it is neither encrypted nor
signed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
from pathlib import Path

from panal.agents.network.netlink import (
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_NET_NS_FD,
    NDA_DST,
    NDA_LLADDR,
    NLA_F_NESTED,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    RTM_NEWLINK,
    RTM_NEWNEIGH,
    Netlink,
    attribute,
    inside,
    link_header,
    number,
    string,
)
from panal.agents.network.netns import BRIDGE

from . import doors, switch

DEVICE = "direct0"
OVERHEAD = 50
"""Bytes that VXLAN adds to a frame over IPv4."""
_RTM_SETLINK, _RTM_DELNEIGH = 19, 29
_AF_BRIDGE = 7
_IFLA_PROTINFO, _LEARNING, _UNICAST_FLOOD, _MCAST_FLOOD, _BCAST_FLOOD = 12, 8, 9, 27, 30
_VXLAN_ID, _VXLAN_LEARNING, _VXLAN_PORT = 1, 7, 15
_NTF_SELF, _NTF_MASTER, _NTF_STICKY = 0x02, 0x04, 0x40
_NUD_NOARP, _NUD_PERMANENT = 0x40, 0x80
_SO_ATTACH_FILTER, _ETH_P_ALL, _SOL_PACKET, _IGNORE_OUTGOING = 26, 3, 263, 23
_PROBES_ONLY = struct.pack(
    "=HBBIHBBIHBBIHBBI",
    *(0x28, 0, 0, 12),  # ldh [12]
    *(0x15, 0, 1, 0x88B5),  # jeq
    *(0x06, 0, 0, 0xFFFF),  # ret all
    *(0x06, 0, 0, 0),  # ret none
)
"""Classic BPF: of all frames that come in, this process gets the probes."""


class Vxlan:
    """The device, and a socket for probes. Raises OSError where it can't be made."""

    def __init__(self, edge: Path, namespace: str, port: int) -> None:
        descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with inside(descriptor):
                self._netlink = Netlink()
                try:
                    self._index = self._made(edge, descriptor, port)
                    self.probes = _probes()
                except BaseException:
                    self._netlink.close()
                    raise
        finally:
            os.close(descriptor)

    def _made(self, edge: Path, namespace: int, port: int) -> int:
        """The device's number; an earlier life may have left it."""
        with contextlib.suppress(OSError):
            return self._netlink.index(DEVICE)
        (outside,) = doors.fetch(edge, doors.NETLINK)
        outside.settimeout(doors.SECONDS)
        with Netlink(outside) as machine:
            _add(machine, namespace, port)
        index = self._netlink.index(DEVICE)
        body = link_header(index, 1, 1) + attribute(IFLA_MASTER, number(self._netlink.index(BRIDGE)))
        self._netlink.request(RTM_NEWLINK, 0, body, f"plug {DEVICE} in")
        quiet = b"".join(attribute(kind, b"\0") for kind in (_LEARNING, _UNICAST_FLOOD, _MCAST_FLOOD, _BCAST_FLOOD))
        body = struct.pack("=BxHiII", _AF_BRIDGE, 0, index, 0, 0) + attribute(_IFLA_PROTINFO | NLA_F_NESTED, quiet)
        self._netlink.request(_RTM_SETLINK, 0, body, f"quieten {DEVICE}")
        self._netlink.flush()
        return index

    def point(self, lan: bytes, underlay: str) -> None:
        """What is sent to this host over the device goes to that machine."""
        self._entry(RTM_NEWNEIGH, lan, _NUD_PERMANENT, _NTF_SELF, attribute(NDA_DST, socket.inet_aton(underlay)))

    def forget(self, lan: bytes) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._entry(_RTM_DELNEIGH, lan, 0, _NTF_SELF)

    def use(self, lan: bytes) -> None:
        """The bridge sends this host's frames over the device."""
        self._entry(RTM_NEWNEIGH, lan, _NUD_NOARP, _NTF_MASTER | _NTF_STICKY)

    def leave(self, lan: bytes) -> None:
        """And no more: they go to the relay, as all that the bridge doesn't know."""
        with contextlib.suppress(FileNotFoundError):
            self._entry(_RTM_DELNEIGH, lan, 0, _NTF_MASTER)

    def _entry(self, kind: int, lan: bytes, state: int, flags: int, more: bytes = b"") -> None:
        body = struct.pack("=BxxxiHBB", _AF_BRIDGE, self._index, state, flags, 0)
        body += attribute(NDA_LLADDR, switch.link(lan)) + more
        create = NLM_F_CREATE | NLM_F_REPLACE if kind == RTM_NEWNEIGH else 0
        self._netlink.request(kind, create, body, f"forwarding entry of {socket.inet_ntoa(lan)}")
        self._netlink.flush()


def _add(machine: Netlink, namespace: int, port: int) -> None:
    data = (
        attribute(_VXLAN_ID, number(port))
        + attribute(_VXLAN_LEARNING, b"\0")
        + attribute(_VXLAN_PORT, struct.pack(">H", port))
    )
    info = attribute(IFLA_INFO_KIND, string("vxlan")) + attribute(IFLA_INFO_DATA | NLA_F_NESTED, data)
    body = (
        link_header()
        + attribute(IFLA_IFNAME, string(DEVICE))
        + attribute(IFLA_ADDRESS, bytes.fromhex("025800000002"))
        + attribute(IFLA_NET_NS_FD, number(namespace))
        + attribute(IFLA_LINKINFO | NLA_F_NESTED, info)
    )
    machine.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"add vxlan {DEVICE}")
    machine.flush()


def _probes() -> socket.socket:
    """A packet socket (packet(7)) on the device that gets probes only."""
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        program = ctypes.create_string_buffer(_PROBES_ONLY)
        found.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 4, ctypes.addressof(program)))
        found.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        found.bind((DEVICE, _ETH_P_ALL))
        found.setblocking(False)
    except BaseException:
        found.close()
        raise
    return found
