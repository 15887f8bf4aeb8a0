"""The one thing kube-proxy asks of whatever moves the traffic: make this table the whole truth.

`netfilter` does it with the kernel's rules, `userspace` by forwarding itself.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..forward.balance import Target
from .table import ServiceTable


class Dataplane(Protocol):
    """Established TCP connections survive every `apply`; UDP flows to endpoints that left are cut."""

    mode: str

    async def apply(self, table: ServiceTable) -> None:
        """Return when the table is in force. Raises DataplaneError when it can't be; the old one is in force then."""

    async def flow(self, client: Target, destination: Target, protocol: str = "TCP") -> dict[str, Any] | None:
        """For `panal trace`: `target`, `source` (ADDRESS:PORT), `state` and more of a TCP connection that came to this
        node; None when there is or was none. Raises DataplaneError."""

    async def close(self) -> None:
        """Stop working. What the kernel does by itself stays in force."""


class DataplaneError(Exception):
    """The table could not be put in force; the message says why. Applying it again may work."""
