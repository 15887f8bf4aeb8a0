"""What is done with a question, server block by server block. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import wire
from .answer import answer
from .forward import Forwarder
from .hosts import Hosts
from .metrics import RCODES, type_name
from .rewrite import Rule
from .wire import Query, Reply
from .zone import Zones


@dataclass(frozen=True)
class Plan:
    """One server block, in the order in which CoreDNS asks its plugins: rewrite, hosts, kubernetes, forward."""

    zones: Zones
    forwarder: Forwarder | None = None
    hosts: Hosts | None = None
    rewrites: tuple[Rule, ...] = ()
    zone: str = "."
    log: bool = False
    errors: bool = True
    rotate: bool = True

    def answer(self, query: Query) -> tuple[str, Reply | None]:
        """Who answered, and what; None: to be forwarded."""
        if self.hosts is not None and (reply := self.hosts.answer(query)) is not None:
            return "hosts", reply
        reply = answer(query, self.zones)
        return ("forward" if reply is None else "kubernetes"), reply


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that is being answered; `started` is of the performance counter, in seconds."""

    query: Query
    size: int
    proto: str
    peer: Any
    started: float

    def told(self, message: bytes, seconds: float) -> str:
        """The line of CoreDNS' log plugin for the question and its answer."""
        query = self.query
        flags = int.from_bytes(message[2:4], "big")
        names = [name for bit, name in _FLAGS if flags & bit]
        host, port = self.peer[:2] if self.peer else ("-", 0)
        asked = f"{type_name(query.type)} IN {wire.text(query.name).removesuffix('.')}. {self.proto} {self.size}"
        dnssec = str(query.dnssec_ok).lower()
        rcode = RCODES.get(flags & 15, str(flags & 15))
        return (
            f'{host}:{port} - {query.id} "{asked} {dnssec} {query.udp_size}" {rcode} {",".join(names)} '
            f"{len(message)} {seconds:.9f}s"
        )


_FLAGS = ((wire.QR, "qr"), (wire.AA, "aa"), (wire.TC, "tc"), (wire.RD, "rd"), (wire.RA, "ra"), (wire.CD, "cd"))
