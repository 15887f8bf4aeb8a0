"""This process moves the traffic: it listens for every Service and forwards, where the kernel can't be told to.

Connections end with the process; a restarted one listens again at once, and in the `loopback` network those of the
other nodes, which listen on the same addresses, answer in the meantime.
"""

from __future__ import annotations

from typing import Any

from ..forward.balance import Target
from ..forward.engine import Engine
from .addresses import LocalAddresses, device_of_network
from .dataplane import DataplaneError
from .forwards import PortMap, forwards, own_addresses
from .table import ServiceTable


class Userspace:
    """The `userspace` dataplane. `addresses` is None in the loopback network, whose every address is local."""

    mode = "userspace"

    def __init__(self, engine: Engine, real_port: PortMap, addresses: LocalAddresses | None) -> None:
        self._engine = engine
        self._real_port = real_port
        self._addresses = addresses

    async def apply(self, table: ServiceTable) -> None:
        self._own(table)
        wanted = forwards(table, loopback=self._addresses is None, real_port=self._real_port)
        if failed := await self._engine.apply(wanted):
            raise DataplaneError("; ".join(f"{frontend}: {error.strerror}" for frontend, error in failed.items()))

    async def close(self) -> None:
        self._engine.close()

    async def flow(self, client: Target, destination: Target, protocol: str = "TCP") -> dict[str, Any] | None:
        found = await self._engine.flow(client, destination, protocol)
        return found.document() if found is not None else None

    def _own(self, table: ServiceTable) -> None:
        """Take the Services' addresses, except those of the LAN: other hosts would be told that they are here."""
        if self._addresses is None:
            return
        cluster = {ip for port in table for ip in port.cluster_ips}
        try:
            external = {ip for ip in own_addresses(table) - cluster if device_of_network(ip) in (None, "lo")}
            self._addresses.set(cluster | external)
        except OSError as error:
            raise DataplaneError(f"addresses of Services: {error.strerror}") from error
