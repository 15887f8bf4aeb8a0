"""Sockets of the machine's own network, which the keeper hands out over edge.sock: to listen, dial out, set it up."""

from __future__ import annotations

import socket
from pathlib import Path

RELAY, DIAL, NETLINK = "relay", "dial", "netlink"
SECONDS = 2.0


def fetch(edge: Path, name: str) -> list[socket.socket]:
    """The sockets of that name, non-blocking. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(SECONDS)
        client.connect(str(edge))
        client.sendall(f"{name}\n".encode())
        _, descriptors, _, _ = socket.recv_fds(client, 1, 8)
    found = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    for each in found:
        each.setblocking(False)
        each.set_inheritable(False)
    return found
