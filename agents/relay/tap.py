"""The plug in the company LAN: a device of the bridge whose frames come to this process, and go out from it.

A veth pair and a packet socket (packet(7)) on its other end, which an ordinary user may have in a network namespace of
their own; /dev/net/tun is refused to them on many machines. PACKET_VNET_HDR brings TCP's segments unsplit (up to
64 KiB) with unfinished checksums, as virtio describes them: an order of magnitude fewer packets for Python.
"""

from __future__ import annotations

import os
import socket

from panal.agents.network.netlink import Netlink, inside
from panal.agents.network.netns import BRIDGE

OURS, THEIRS = "relay1", "relay0"
ALL = 0x0003
"""ETH_P_ALL."""
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
BUFFER = 1 << 22
"""Bytes that may wait here for this process: some 60 of the largest packets."""


def open_tap(namespace: str) -> socket.socket:
    """A packet socket on the LAN's bridge in this network namespace. Raises OSError."""
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with inside(descriptor):
            with Netlink() as netlink:
                _plug(netlink, descriptor)
            return _packets()
    finally:
        os.close(descriptor)


def _plug(netlink: Netlink, namespace: int) -> None:
    """The pair, made if an earlier life hasn't left it."""
    try:
        ours = netlink.index(OURS)
    except OSError:
        bridge = netlink.index(BRIDGE)
        netlink.add_veth(THEIRS, "02:58:00:00:00:00", OURS, "02:58:00:00:00:01", namespace, master=bridge)
        netlink.flush()
        ours = netlink.index(OURS)
    netlink.set_up(ours)
    netlink.flush()


def _packets() -> socket.socket:
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        found.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        found.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            found.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        found.bind((OURS, ALL))
        found.setblocking(False)
    except BaseException:
        found.close()
        raise
    return found
