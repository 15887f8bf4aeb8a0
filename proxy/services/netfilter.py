"""The kernel moves the traffic: tables become nft transactions in the node's own network namespace.

What is in force stays in force when this process dies; its next self replaces it in one transaction, and established
connections, being conntrack's, notice nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Mapping

from .addresses import ServiceRoutes
from .conntrack import cut
from .dataplane import DataplaneError
from .table import ServiceTable, changes
from .transaction import Ruleset

_log = logging.getLogger(__name__)
_TIMEOUT = 60.0
"""Seconds for one nft transaction; thousands of Services take a fraction of one."""


def find_nft(environ: Mapping[str, str]) -> str | None:
    """The nft program: $PANAL_NFT, or in PATH, or where Debian puts it for root only."""
    if given := environ.get("PANAL_NFT"):
        return given
    path = os.pathsep.join([environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return shutil.which("nft", path=path)


class Netfilter:
    """The `netfilter` dataplane."""

    mode = "netfilter"

    def __init__(self, nft: str, cluster_cidr: str = "", node_ip: str = "") -> None:
        self._nft = nft
        self._ruleset = Ruleset(cluster_cidr)
        self._applied: ServiceTable | None = None
        self._routes = ServiceRoutes(node_ip) if node_ip else None

    async def apply(self, table: ServiceTable) -> None:
        before, self._applied = self._applied, None
        if self._routes is not None:
            self._set_routes(self._routes, table)
        if before is None:
            await self._run(self._ruleset.replace(table))
        else:
            await self._update(table)
        self._applied = table
        self._cut_flows(before or ServiceTable(table.node), table)

    async def close(self) -> None:
        """The rules stay, and do their work."""

    async def _update(self, table: ServiceTable) -> None:
        transaction = self._ruleset.update(table)
        try:
            if transaction:
                await self._run(transaction)
        except DataplaneError as error:
            _log.warning("rules are not as they were left, replacing all: %s", error)
            await self._run(self._ruleset.replace(table))

    async def _run(self, transaction: str) -> None:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            self._nft, "-f", "-", stdin=pipe, stdout=asyncio.subprocess.DEVNULL, stderr=pipe
        )
        try:
            async with asyncio.timeout(_TIMEOUT):
                _, complaint = await process.communicate(transaction.encode())
        except BaseException:
            if process.returncode is None:
                process.kill()
            raise
        if process.returncode != 0:
            raise DataplaneError(f"nft: {complaint[:600].decode(errors='replace').strip()}")

    def _set_routes(self, routes: ServiceRoutes, table: ServiceTable) -> None:
        try:
            routes.set(ip for port in table for ip in (*port.cluster_ips, *port.external_ips))
        except OSError as error:
            raise DataplaneError(f"routes to Services: {error.strerror}") from error

    def _cut_flows(self, before: ServiceTable, after: ServiceTable) -> None:
        difference = changes(before, after)
        ports = [port for port in difference.applied if port.protocol == "UDP"]
        former = [before.ports[port.name] for port in ports if port.name in before.ports]
        removed = [port for port in difference.removed if port.protocol == "UDP"] + former
        if not (ports or removed):
            return
        try:
            if number := cut(ports, removed):
                _log.info("cut %d UDP flows to endpoints that left", number)
        except OSError as error:
            _log.warning("UDP flows to endpoints that left can't be cut: %s", error.strerror)
