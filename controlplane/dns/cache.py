"""Finished answers, by everything a query says but its id: the hot path is one dictionary look-up.

Answers with several addresses are kept in every rotation and handed out in turn, which spreads clients that take the
first (CoreDNS' loadbalance plugin). Pure: a change of the zones empties the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, repeat

from . import wire
from .metrics import Series
from .wire import Query, Reply

MAX_QUERY = 320
"""Longer queries are not kept: the longest name and an OPT record fit."""
MAX_ENTRIES = 10_000
MAX_ROTATIONS = 16


class _Kept:
    """One question's answers, and how often it was asked since it was last counted."""

    __slots__ = ("asked", "hits", "next", "said", "series")

    def __init__(self, turn: Callable[[], bytes], asked: int, said: int, series: Series | None) -> None:
        self.next = turn
        self.hits = 0
        self.asked, self.said, self.series = asked, said, series


class AnswerCache:
    """`get(data)` gives the next packed answer without its id, or None."""

    def __init__(self, entries: int = MAX_ENTRIES) -> None:
        self._answers: dict[bytes, _Kept] = {}
        self._limit = entries
        self.seconds = 0.0
        """Spent on hits that are not counted yet; whoever calls `get` adds to it."""

    def get(self, data: bytes) -> bytes | None:
        found = self._answers.get(data[2:])
        if found is None:
            return None
        found.hits += 1
        return data[:2] + found.next()

    def put(self, data: bytes, packed: list[bytes], series: Series | None = None) -> None:
        """Keep the answers (with an id in front, which is left out) to the query `data`, counted in `series`."""
        if len(data) > MAX_QUERY:
            return
        if len(self._answers) >= self._limit:
            self.clear()
        bare = [answer[2:] for answer in packed]
        turn = cycle(bare).__next__ if len(bare) > 1 else repeat(bare[0]).__next__
        self._answers[data[2:]] = _Kept(turn, len(data), len(packed[0]), series)

    def count(self) -> None:
        """Bring the hits into their series."""
        hits = sum(kept.hits for kept in self._answers.values())
        seconds, self.seconds = self.seconds / hits if hits else 0.0, 0.0
        for kept in self._answers.values():
            if kept.hits and kept.series is not None:
                kept.series.add(seconds, kept.asked, kept.said, kept.hits)
            kept.hits = 0

    def clear(self) -> None:
        self.count()
        self._answers.clear()

    def __len__(self) -> int:
        return len(self._answers)


def pack_rotations(query: Query, reply: Reply, limit: int) -> list[bytes]:
    """The answer packed once for each rotation of its addresses, the aliases before them staying in front."""
    aliases = [record for record in reply.answers if record.type == wire.CNAME]
    others = [record for record in reply.answers if record.type != wire.CNAME]
    if query.type not in (wire.A, wire.AAAA) or len(others) < 2:
        return [wire.pack(query, reply, limit)]
    turns = range(0, len(others), max(1, -(-len(others) // MAX_ROTATIONS)))
    return [wire.pack(query, replace(reply, answers=aliases + others[turn:] + others[:turn]), limit) for turn in turns]
