"""What a store is: compare-and-append on keys, and reading and watching the history that results.

One global revision counts every mutation, as in etcd; it becomes the objects' resourceVersion. A driver promises:

* `append` answers only when the change would survive a crash of the process;
* a watch reports every change after its revision exactly once, in order, and never one that is not durable;
* lists at, and watches since, a past revision work until `compact` forgets it.

The same suite (tests/controlplane/store) runs over every driver.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


class StoreError(Exception):
    """The store cannot be used: it is damaged, locked by another process, or its disk is full."""


class Mismatch(Exception):
    """The key is not at the revision that was expected. `actual` is where it is; 0 when it does not exist."""

    def __init__(self, key: str, actual: int) -> None:
        super().__init__(f"{key} is at revision {actual}")
        self.key = key
        self.actual = actual


class Compacted(Exception):
    """The revision asked for is forgotten; `oldest` is the oldest one that is still known."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"history before revision {oldest} is forgotten")
        self.oldest = oldest


class Lagging(Exception):
    """The watcher read too slowly and was dropped; it must list and watch again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's value as of `revision`, its last change."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Event:
    """One change. `value` is None when the key was deleted."""

    revision: int
    key: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list, in the order of the keys. `revision` is that of the whole list; `more` says keys follow."""

    entries: Sequence[Entry]
    revision: int
    more: bool = False


class Store(Protocol):
    """A history of keys. Keys are text without NUL; values are bytes the store never looks into."""

    async def append(self, key: str, value: bytes | None, *, expect: int) -> int:
        """Set the key (delete it with None) if its last change was `expect` (0: it must not exist); the new revision.

        Raises Mismatch when the key is elsewhere, StoreError when the change could not be made durable.
        """
        ...

    async def get(self, key: str) -> Entry | None: ...

    async def list(
        self, prefix: str, *, at: int | None = None, after: str | None = None, limit: int | None = None
    ) -> Page:
        """The keys that start with `prefix`, as of revision `at` (default: now), only those behind the key `after`.

        Raises Compacted for a forgotten `at`.
        """
        ...

    def watch(self, prefix: str, *, since: int) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Event]]]:
        """Changes after revision `since`, in batches. Raises Compacted when entered, Lagging while iterating."""
        ...

    async def compact(self, revision: int) -> None:
        """Forget what was superseded or deleted at or before `revision`; later appends and reads are not affected."""
        ...

    async def revision(self) -> int:
        """The last revision, 0 for an empty store."""
        ...

    async def oldest(self) -> int:
        """The oldest revision that lists and watches still know."""
        ...

    async def close(self) -> None: ...
