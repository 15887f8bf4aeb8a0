"""Ports for servers that a test starts in a process of its own, and for the places where nobody may answer.

Binding port 0 and letting it go gives a port of the range from which every outgoing connection takes its own: under
load the next connection of a test beside this one has it. These lie below that range and below the NodePorts.
"""

from __future__ import annotations

import contextlib
import random
import socket

LOWEST, HIGHEST = 11000, 29999
_given: set[int] = set()


def free_port(host: str = "127.0.0.1") -> int:
    """A port of `host` on which nobody listens, neither by TCP nor by UDP; never the same one twice."""
    while True:
        port = random.randint(LOWEST, HIGHEST)
        if port in _given:
            continue
        with (
            contextlib.suppress(OSError),
            socket.socket() as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind((host, port))
            udp.bind((host, port))
            _given.add(port)
            return port
