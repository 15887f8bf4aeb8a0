"""How many requests are worked on at a time: reads and writes apart, long-running ones not counted. Pure.

Kubernetes' max-in-flight filter (--max-requests-inflight, --max-mutating-requests-inflight). Who comes when all places
are taken is told to come again; who is exempt by the FlowSchemas (administrators, probes) is always let in, as there.
"""

from __future__ import annotations

from .answers import Answer, text
from .request import Target

READ, WRITE = "readOnly", "mutating"
"""The kinds of requests, as apiserver_current_inflight_requests names them."""

_READS = frozenset(("get", "list", "watch"))
_LONG_RUNNING = frozenset(("attach", "exec", "proxy", "log", "portforward"))
"""Subresources whose requests last as long as the client wants."""


def kind(target: Target) -> str:
    """Which places a request takes; "" for one that is not counted."""
    if target.verb == "watch" or target.subresource in _LONG_RUNNING:
        return ""
    return READ if target.verb in _READS else WRITE


class Places:
    """The places that are taken. A limit of 0 is none."""

    def __init__(self, reads: int, writes: int) -> None:
        self._limits = {READ: reads, WRITE: writes}
        self.taken = {READ: 0, WRITE: 0}

    def enter(self, of: str, exempt: bool) -> bool:
        """Take a place, which `leave` gives back; False when there is none for one who is not exempt."""
        limit = self._limits[of]
        if limit and self.taken[of] >= limit and not exempt:
            return False
        self.taken[of] += 1
        return True

    def leave(self, of: str) -> None:
        self.taken[of] -= 1


def refused() -> Answer:
    """What who finds no place gets, in Kubernetes' words: plain text, and when to come again."""
    answer = text("Too many requests, please try again later.\n", 429)
    return Answer(answer.body, 429, answer.content_type, {**answer.headers, "Retry-After": "1"})
