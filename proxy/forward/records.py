"""What there is to tell about a forwarded connection, for whoever traces requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .balance import Target


class Frontend(NamedTuple):
    """Where clients come in. With a `name`, its sockets were handed over and are not bound here."""

    protocol: str
    address: str
    port: int
    name: str = ""

    def __str__(self) -> str:
        return self.name or f"{self.address}:{self.port}/{self.protocol}"


class Record(NamedTuple):
    """One TCP connection, when it has ended. Times are of the monotonic clock, in seconds."""

    frontend: Frontend
    client: Target
    target: Target | None
    """None: no endpoint could be reached."""
    opened: float
    closed: float
    received: int
    """Bytes from the client."""
    sent: int


class Hooks(NamedTuple):
    """Called on the forwarding thread; must return at once."""

    on_connection: Callable[[Record], None] | None = None
    on_failure: Callable[[Target], None] | None = None
    """An endpoint refused or did not answer in time."""


NO_HOOKS = Hooks()
