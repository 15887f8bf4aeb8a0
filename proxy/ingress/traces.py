"""What the ingress tells `panal trace` of a request: its rule, its upstream, and its own end of the connection there.

Kept only for requests whose id says that they want it; who asks must know the id, which cannot be guessed. So the
requests of others cost nothing and are told to nobody.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .routes import Address

if TYPE_CHECKING:
    from .exchange import Exchange

PREFIX = b"panal-trace-"
"""How X-Request-ID begins in a request that wants to be traced."""
KEPT = 256


@dataclass(slots=True)
class Trail:
    """What a traced request meets on its way; times are of the monotonic clock, in seconds."""

    refused: list[tuple[Address, str]] = field(default_factory=list)
    """The endpoints that failed, and why."""
    source: Address | None = None
    reused: bool = False
    sent_at: float = 0.0


def trail_of(request_id: bytes) -> Trail | None:
    return Trail() if request_id.startswith(PREFIX) else None


class Traces:
    """The latest traced requests, by id."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def keep(self, exchange: Exchange, client: Address, now: float) -> None:
        """A traced request is over."""
        if exchange.trail is None:
            return
        self._kept[exchange.id.decode("latin-1")] = _document(exchange, exchange.trail, client, now)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def get(self, request_id: str) -> dict[str, Any] | None:
        return self._kept.get(request_id)


def _document(exchange: Exchange, trail: Trail, client: Address, now: float) -> dict[str, Any]:
    route = exchange.route
    rule = None
    if route is not None:
        rule = {
            "ingress": route.ingress,
            "host": exchange.request.host.decode("latin-1"),
            "path": route.path,
            "pathType": route.kind,
            "backend": route.backend.name,
            "candidates": list(map(_written, route.backend.endpoints)),
            "throughService": route.backend.through_service,
        }
    return {
        "client": _written(client),
        "rule": rule,
        "target": _written(exchange.address) if exchange.address else None,
        "source": _written(trail.source) if trail.source else None,
        "reused": trail.reused,
        "refused": [{"target": _written(address), "why": why} for address, why in trail.refused],
        "status": exchange.status,
        "upstreamStatus": exchange.upstream_status or None,
        "opened": exchange.started,
        "connected": trail.sent_at or None,
        "closed": now,
    }


def _written(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
