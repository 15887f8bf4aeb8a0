"""The network where namespaces are refused: hosts, nodes and pods have addresses of 127/8 in the machine's own network.

All of 127/8 belongs to `lo` already, so nothing is set up and nothing needs cleaning; what remains is to remember
which sandbox has which address.
"""

from __future__ import annotations

import os
from pathlib import Path

from .contract import Space
from .podaddresses import AddressPool, check_sandbox_id


class LoopbackLAN:
    """Every host is where everything is."""

    async def add_host(self, name: str, address: str, *, reaches_pods: bool = False) -> Space:
        return Space(address, None)

    async def add_node(self, name: str, address: str, pod_cidr: str) -> Space:
        return Space(address, None)

    def close(self) -> None:
        """Nothing is held."""


class LoopbackPodNetwork:
    """Addresses of the node's pod CIDR; `folder` holds one symbolic link a sandbox, pointing to its address."""

    def __init__(self, pod_cidr: str, folder: Path) -> None:
        self._assigned = folder / "assigned"
        self._assigned.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._addresses = {entry.name: os.readlink(entry.path) for entry in os.scandir(self._assigned)}
        self._pool = AddressPool(pod_cidr, self._addresses.values())

    async def attach(self, sandbox_id: str) -> Space:
        check_sandbox_id(sandbox_id)
        if (address := self._addresses.get(sandbox_id)) is None:
            address = self._pool.take()
            os.symlink(address, self._assigned / sandbox_id)
            self._addresses[sandbox_id] = address
        return Space(address, None)

    async def detach(self, sandbox_id: str) -> None:
        if (address := self._addresses.pop(sandbox_id, None)) is not None:
            (self._assigned / sandbox_id).unlink(missing_ok=True)
            self._pool.give_back(address)

    async def close(self) -> None:
        """Nothing is held."""
