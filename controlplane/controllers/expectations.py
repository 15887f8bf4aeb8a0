"""What a controller has asked for and not yet seen in its informers, so that it never asks twice.

A controller acts only while nothing is outstanding for a key; pods it created or deleted count as outstanding until
their events arrive, or until `TIMEOUT` has passed, should an event have been lost.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

TIMEOUT = 300.0
"""Seconds after which an expectation is given up: far longer than any event takes."""

K = TypeVar("K", bound=Hashable)


@dataclass
class _Outstanding:
    creations: int
    deletions: set[str]
    """Uids of what was asked to be deleted."""
    since: float


@dataclass
class Expectations(Generic[K]):
    """Outstanding creations and deletions by key. `now` is any steady clock's time in seconds."""

    _items: dict[K, _Outstanding] = field(default_factory=dict)

    def satisfied(self, key: K, now: float) -> bool:
        item = self._items.get(key)
        if item is None:
            return True
        if (item.creations <= 0 and not item.deletions) or now - item.since > TIMEOUT:
            del self._items[key]
            return True
        return False

    def expect(self, key: K, now: float, *, creations: int = 0, deletions: Iterable[str] = ()) -> None:
        """Adds to what is outstanding; call it before the requests are sent."""
        item = self._items.get(key)
        if item is None:
            item = self._items[key] = _Outstanding(0, set(), now)
        item.creations += creations
        item.deletions.update(deletions)
        item.since = now

    def created(self, key: K, count: int = 1) -> None:
        """One was seen, or will never come because its creation failed."""
        if (item := self._items.get(key)) is not None:
            item.creations -= count

    def deleted(self, key: K, uid: str) -> None:
        if (item := self._items.get(key)) is not None:
            item.deletions.discard(uid)

    def forget(self, key: K) -> None:
        self._items.pop(key, None)
