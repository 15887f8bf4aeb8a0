"""The watch cache: every object of the store in memory, and the changes of the last while.

One task follows the store; reads, lists and watches of the API are answered from here without touching the disk. Bytes
are kept, not dicts: an item is decoded by who needs it. Used on the event loop's thread only.
"""

from __future__ import annotations

import asyncio
import builtins
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import orjson

from panal.errors import Gone
from panal.resources import Resource

from ..store import Event, Store
from . import encoding, keys
from .keys import Location

WINDOW = 4096
"""Changes one resource keeps for watches that resume: minutes of a busy cluster, for the price of their bytes."""

REPLAY = 1024
"""Changes before the start of this process that it reads again, so that watches survive a restart without a relist."""


class Item:
    """One object at one revision. Never changed; a write makes a new one."""

    __slots__ = ("_fields", "_labels", "_shown", "body", "name", "namespace", "revision")

    def __init__(self, namespace: str, name: str, revision: int, body: bytes) -> None:
        self.namespace = namespace
        self.name = name
        self.revision = revision
        self.body = body
        self._shown: dict[str, tuple[object, Item | None]] | None = None
        """As each version's resource shows it; None is this very item."""
        self._labels: dict[str, str] | None = None
        self._fields: dict[str, str] | None = None

    def shown_as(self, resource: Resource) -> Item | None:
        """What `show` remembered for this very resource."""
        known = self._shown.get(resource.api_version) if self._shown else None
        return (known[1] or self) if known is not None and known[0] is resource else None

    def show(self, resource: Resource, shown: Item) -> Item:
        """Remember how this object is shown, as long as the resource's definition stays; returns `shown`."""
        if self._shown is None:
            self._shown = {}
        self._shown[resource.api_version] = (resource, None if shown is self else shown)
        return shown

    def decode(self) -> dict[str, Any]:
        """A new dict, the caller's own."""
        decoded: dict[str, Any] = orjson.loads(self.body)
        return decoded

    @property
    def labels(self) -> dict[str, str]:
        if self._labels is None:
            self._labels = self.decode()["metadata"].get("labels") or {}
        return self._labels

    def fields(self, select: Callable[[dict[str, Any]], dict[str, str]]) -> dict[str, str]:
        """The selectable fields, remembered."""
        if self._fields is None:
            self._fields = select(self.decode())
        return self._fields


class Change:
    """One change of one object. `item` is the new state, for DELETED the last one with the revision of the deletion."""

    __slots__ = ("_line", "item", "kind", "previous", "revision")

    def __init__(self, revision: int, kind: str, item: Item, previous: Item | None) -> None:
        self.revision = revision
        self.kind = kind
        self.item = item
        self.previous = previous
        self._line: bytes | None = None

    @property
    def line(self) -> bytes:
        """The watch event, encoded once for all watchers."""
        if self._line is None:
            self._line = encoding.event(self.kind, self.item.body)
        return self._line


Subscriber = Callable[[Change], None]


class Shelf:
    """The objects of one location."""

    def __init__(self, place: Location, oldest: int) -> None:
        self.place = place
        self.oldest = oldest
        """Watches since this revision, or a later one, can be served."""
        self.revision = oldest
        """The last change of anything here."""
        self.sent = 0
        """Changes offered to subscribers."""
        self._items: dict[str, dict[str, Item]] = {}
        self._sorted: dict[str, list[Item] | None] = {}
        self._window: deque[Change] = deque()
        self._subscribers: set[tuple[str, Subscriber]] = set()

    def get(self, namespace: str, name: str) -> Item | None:
        return self._items.get(namespace, {}).get(name)

    def list(self, namespace: str = "") -> Iterator[Item]:
        """In the order of the keys; without a namespace those of all namespaces."""
        if namespace:
            yield from self._in(namespace)
            return
        for each in sorted(self._items):
            yield from self._in(each)

    def has(self, namespace: str) -> bool:
        """Whether anything is in that namespace."""
        return bool(self._items.get(namespace))

    def __len__(self) -> int:
        return sum(map(len, self._items.values()))

    def _in(self, namespace: str) -> builtins.list[Item]:
        ordered = self._sorted.get(namespace)
        if ordered is None:
            items = self._items.get(namespace, {})
            ordered = self._sorted[namespace] = [items[name] for name in sorted(items)]
        return ordered

    def changes(self, since: int) -> builtins.list[Change]:
        """Changes after a revision, oldest first. Raises Gone when they are no longer known."""
        if since < self.oldest:
            raise Gone(f"too old resource version: {since} ({self.oldest})")
        found: list[Change] = []
        for change in reversed(self._window):
            if change.revision <= since:
                break
            found.append(change)
        found.reverse()
        return found

    def subscribe(self, namespace: str, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` with every change (of one namespace); returns how to stop that."""
        entry = (namespace, subscriber)
        self._subscribers.add(entry)
        return lambda: self._subscribers.discard(entry)

    def put(self, namespace: str, name: str, revision: int, stored: bytes) -> Change:
        known = self._items.setdefault(namespace, {})
        previous = known.get(name)
        item = Item(namespace, name, revision, encoding.with_revision(stored, revision))
        known[name] = item
        self._sorted[namespace] = None
        return Change(revision, "MODIFIED" if previous else "ADDED", item, previous)

    def remove(self, namespace: str, name: str, revision: int) -> Change | None:
        previous = self._items.get(namespace, {}).pop(name, None)
        self._sorted[namespace] = None
        if not self._items.get(namespace):
            self._items.pop(namespace, None)
            self._sorted.pop(namespace, None)
        if previous is None:
            return None
        last = previous.decode()
        item = Item(namespace, name, revision, encoding.with_revision(encoding.encode(last), revision))
        return Change(revision, "DELETED", item, previous)

    def record(self, change: Change) -> None:
        self.revision = change.revision
        self._window.append(change)
        if len(self._window) > WINDOW:
            self.oldest = self._window.popleft().revision
        for namespace, subscriber in tuple(self._subscribers):
            if not namespace or namespace == change.item.namespace:
                self.sent += 1
                subscriber(change)


class Cache:
    """All shelves. `start` fills it; from then on `run` must run."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._shelves: dict[Location, Shelf] = {}
        self._start = 0
        self.revision = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def start(self) -> None:
        """Read everything, as of a little before the end, so that `run` replays the last changes."""
        newest = await self._store.revision()
        page = await self._store.list(keys.ROOT, at=max(await self._store.oldest(), newest - REPLAY))
        self._start = self.revision = page.revision
        for entry in page.entries:
            place, namespace, name = keys.parse(entry.key)
            self.shelf(place).put(namespace, name, entry.revision, entry.value)

    async def run(self) -> None:
        """Follow the store. Ends with Lagging when this process cannot keep up with itself."""
        async with self._store.watch(keys.ROOT, since=self._start) as batches:
            async for batch in batches:
                for event in batch:
                    self._apply(event)
                self._wake()

    async def reached(self, revision: int) -> None:
        """Wait until the cache shows this revision."""
        if self.revision >= revision:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((revision, future))
        await future

    def shelf(self, place: Location) -> Shelf:
        found = self._shelves.get(place)
        if found is None:
            found = self._shelves[place] = Shelf(place, self._start)
        return found

    def places(self) -> list[Location]:
        return list(self._shelves)

    def _apply(self, event: Event) -> None:
        place, namespace, name = keys.parse(event.key)
        shelf = self.shelf(place)
        if event.value is None:
            change = shelf.remove(namespace, name, event.revision)
        else:
            change = shelf.put(namespace, name, event.revision, event.value)
        self.revision = event.revision
        if change is not None:
            shelf.record(change)

    def _wake(self) -> None:
        still: deque[tuple[int, asyncio.Future[None]]] = deque()
        for revision, future in self._waiting:
            if revision > self.revision:
                still.append((revision, future))
            else:
                with suppress(asyncio.InvalidStateError):
                    future.set_result(None)
        self._waiting = still
