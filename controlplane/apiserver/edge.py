"""Asks the edge (docs/ARCHITECTURE.md) for the listening sockets that lead to this server from the machine."""

from __future__ import annotations

import socket
from pathlib import Path

_TIMEOUT = 2.0
_SOCKETS = 8
"""Sockets that one answer may carry at most."""


def listeners(path: Path, name: str) -> list[socket.socket]:
    """The listening sockets called `name`. Raises OSError when the edge cannot be reached."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_TIMEOUT)
        client.connect(str(path))
        client.sendall(f"{name}\n".encode())
        data, descriptors, _, _ = socket.recv_fds(client, 1, _SOCKETS)
    found = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    for listener in found:
        listener.setblocking(False)
        listener.set_inheritable(False)
    return found if data else []
