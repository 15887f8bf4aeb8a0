"""Finished answers, by everything a query says but its id: the hot path is one dictionary look-up.

Answers with several addresses are kept in every rotation and handed out in turn, which spreads clients that take the
first (CoreDNS' loadbalance plugin). Pure: a change of the zones empties the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, repeat

from . import wire
from .wire import Query, Reply

MAX_QUERY = 320
"""Longer queries are not kept: the longest name and an OPT record fit."""
MAX_ENTRIES = 10_000
MAX_ROTATIONS = 16


class AnswerCache:
    """`get(data)` gives the next packed answer without its id, or None."""

    def __init__(self, entries: int = MAX_ENTRIES) -> None:
        self._answers: dict[bytes, Iterator[bytes]] = {}
        self._limit = entries

    def get(self, data: bytes) -> bytes | None:
        found = self._answers.get(data[2:])
        return None if found is None else data[:2] + next(found)

    def put(self, data: bytes, packed: list[bytes]) -> None:
        """Keep the answers (with an id in front, which is left out) to the query `data`."""
        if len(data) > MAX_QUERY:
            return
        if len(self._answers) >= self._limit:
            self._answers.clear()
        bare = [answer[2:] for answer in packed]
        self._answers[data[2:]] = cycle(bare) if len(bare) > 1 else repeat(bare[0])

    def clear(self) -> None:
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
