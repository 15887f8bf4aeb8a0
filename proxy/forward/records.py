"""What there is to tell about a forwarded connection, for whoever traces requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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


class Flow(NamedTuple):
    """A connection as `panal trace` is told of it, open or ended. Times as in `Record`."""

    frontend: Frontend
    client: Target
    source: Target | None
    """The forwarder's own end of the connection to `target`: who the next hop sees."""
    target: Target | None
    candidates: tuple[Target, ...]
    opened: float
    connected: float | None
    closed: float | None

    def document(self) -> dict[str, Any]:
        state = "connecting" if self.closed is None else "failed"
        if self.connected is not None:
            state = "open" if self.closed is None else "ended"
        return {
            "frontend": str(self.frontend),
            "client": written(self.client),
            "source": written(self.source) if self.source else None,
            "target": written(self.target) if self.target else None,
            "candidates": list(map(written, self.candidates)),
            "state": state,
            "opened": self.opened,
            "connected": self.connected,
        }


def written(target: Target) -> str:
    return f"{target[0]}:{target[1]}"


def read_flow(words: Sequence[str]) -> tuple[Target, Target, str]:
    """CLIENT DESTINATION [udp]. Raises ValueError."""
    if len(words) not in (2, 3) or words[2:] not in ([], ["udp"]):
        raise ValueError("expected CLIENT DESTINATION [udp]")
    return read_target(words[0]), read_target(words[1]), "UDP" if words[2:] else "TCP"


def read_target(text: str) -> Target:
    """ADDRESS:PORT. Raises ValueError."""
    address, colon, port = text.rpartition(":")
    if not colon or not address:
        raise ValueError(f"{text!r} is no ADDRESS:PORT")
    return address, int(port)


class Hooks(NamedTuple):
    """Called on the forwarding thread; must return at once."""

    on_connection: Callable[[Record], None] | None = None
    on_failure: Callable[[Target], None] | None = None
    """An endpoint refused or did not answer in time."""


NO_HOOKS = Hooks()
