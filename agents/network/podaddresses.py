"""Which addresses of a node's pod CIDR are free. Pure; those given back last are taken last.

An address that changes hands at once would lead whoever still knows it to the wrong pod.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

RECENT = 16
"""Addresses given back that are avoided while others are free."""

_SANDBOX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class AddressesExhausted(OSError):
    """The node's pod CIDR has no address left."""


def check_sandbox_id(sandbox_id: str) -> None:
    """A sandbox id becomes a file's name. Raises ValueError when it can't be one."""
    if not _SANDBOX.fullmatch(sandbox_id):
        raise ValueError(f"{sandbox_id!r} is no sandbox id")


def pod_addresses(cidr: str) -> Iterator[str]:
    """The addresses pods may get: all but the network's own, its first and its last."""
    network = IPv4Network(cidr)
    for value in range(int(network.network_address) + 2, int(network.broadcast_address)):
        yield str(IPv4Address(value))


class AddressPool:
    def __init__(self, cidr: str, used: Iterable[str] = ()) -> None:
        self._cidr = cidr
        self._used = set(used)
        self._recent: deque[str] = deque(maxlen=RECENT)

    def take(self) -> str:
        """A free address. Raises AddressesExhausted."""
        candidate = next((a for a in pod_addresses(self._cidr) if a not in self._used and a not in self._recent), None)
        if candidate is None:
            candidate = next((address for address in self._recent if address not in self._used), None)
        if candidate is None:
            raise AddressesExhausted(f"no free address in the node's pod CIDR {self._cidr}")
        self._used.add(candidate)
        return candidate

    def give_back(self, address: str) -> None:
        """Giving back what is free is no error."""
        if address in self._used:
            self._used.discard(address)
            self._recent.append(address)
