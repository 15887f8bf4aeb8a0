"""Addresses and ports as a network has them.

In the `loopback` network every address keeps its last three octets and starts with 127; where ports under 1024 cannot
be bound there, port p is p + 10000 for whoever binds or connects. A process learns both from its environment:
`PANAL_NETWORK=loopback` and `PANAL_LOW_PORTS=shifted`.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping

LAN_ADDRESS = "panal.dev/lan-address"
"""The annotation of a Node on another machine that holds its address of the company LAN; empty: it asks for one."""

LOW_PORT_SHIFT = 10000
"""Added to ports under 1024 where they cannot be bound: 80 -> 10080, below Linux' ephemeral range (32768-60999)."""


def in_loopback(environ: Mapping[str, str] | None = None) -> bool:
    """Whether this process lives in the `loopback` network."""
    return (os.environ if environ is None else environ).get("PANAL_NETWORK") == "loopback"


def localize(address: str) -> str:
    """The address (or CIDR) in the `loopback` network: 192.168.0.101 -> 127.168.0.101. IPv4 only; raises ValueError."""
    host, slash, length = address.partition("/")
    octets = str(ipaddress.IPv4Address(host)).split(".")
    return ".".join(["127", *octets[1:]]) + (slash + length if slash else "")


def localized(address: str, environ: Mapping[str, str] | None = None) -> str:
    """`localize` in the loopback network, else the address as it is."""
    return localize(address) if in_loopback(environ) else address


def real_port(port: int, environ: Mapping[str, str] | None = None) -> int:
    """The port to bind or connect to for `port`, see the module's words."""
    shifted = (os.environ if environ is None else environ).get("PANAL_LOW_PORTS") == "shifted"
    return port + LOW_PORT_SHIFT if shifted and 0 < port < 1024 else port


def low_ports_bindable() -> bool:
    """Whether this process may bind ports under 1024 in its network."""
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.255.255.254", 1023))
        except PermissionError:
            return False
        except OSError:
            return True
    return True
