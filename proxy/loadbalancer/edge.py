"""Asks the edge (docs/ARCHITECTURE.md) for the machine's own listening sockets that lead to this load balancer."""

from __future__ import annotations

import socket
from pathlib import Path

from panal import unixsock

NAME = "http"
_TIMEOUT = 2.0
_MOST = 8
"""Sockets that one answer may carry."""


def listeners(path: Path, name: str = NAME) -> list[socket.socket]:
    """The listening sockets called `name`. Raises OSError when nobody hands them out."""
    with unixsock.connect(path) as edge:
        edge.settimeout(_TIMEOUT)
        edge.sendall(f"{name}\n".encode())
        _, descriptors, _, _ = socket.recv_fds(edge, 1, _MOST)
    sockets = [socket.socket(fileno=number) for number in descriptors]
    for sock in sockets:
        sock.set_inheritable(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sockets
