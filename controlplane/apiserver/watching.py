"""Watches: a stream of changes to one client.

A subscriber filters changes as they happen and keeps the ready lines, which flushing.py writes to all clients that keep
up; a client's own task writes the beginning, the bookmarks, and whatever had to wait. A client that reads too slowly is
dropped: its connection ends, it lists and watches again. What was there before the watch is made into lines while it is
sent, so that a long beginning waits nowhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import orjson
from aiohttp import web

from panal.errors import Gone, StatusError
from panal.tasks import spawn

from . import encoding
from .cache import Change, Item, Shelf
from .feeds import Convert, Feed, items
from .flushing import Flusher
from .reading import Selection

PENDING_LIMIT = 8 * 1024 * 1024
"""Bytes of changes that wait for one slow client at most."""

BEHIND = 64 * 1024
"""Bytes in a connection's buffer from which its client does not keep up."""

CHUNK = 128 * 1024
"""Bytes of the beginning that are made at a time."""

BOOKMARK_SECONDS = 60.0
"""About once a minute, as Kubernetes does: a client that resumes after a quiet hour must not get 410."""

Render = Callable[[str, Item], bytes]
"""An event's line in the form the client asked for."""

Frame = Callable[[str, bytes], bytes]
"""A watch event around an encoded object."""


@dataclass(frozen=True)
class Watch:
    """What a client wants to see. `since` None: first everything that is, then what happens."""

    selection: Selection
    since: int | None
    bookmarks: bool
    initial_events_end: bool
    timeout: float
    render: Render | None
    """None: the objects as they are stored."""
    bookmark: Callable[[int, bool], bytes]
    frame: Frame = encoding.event
    present: Callable[[Item], Item] | None = None
    """How a resource of several versions shows what is stored; None: as it is."""
    content_type: str = "application/json"
    convert: Convert | None = None
    """What has to happen before `present` can show an item; None: nothing."""


def bookmark_line(
    kind: str, api_version: str, revision: int, initial_end: bool, frame: Frame = encoding.event
) -> bytes:
    """A BOOKMARK event; the one after the initial events is annotated (KEP-3157)."""
    metadata: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
    if initial_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return frame("BOOKMARK", orjson.dumps({"kind": kind, "apiVersion": api_version, "metadata": metadata}))


class Stream:
    """One client's pending lines."""

    def __init__(self, watch: Watch, flusher: Flusher | None = None) -> None:
        self._watch = watch
        self._flusher = flusher
        self._noted = False
        self.transport: asyncio.Transport | None = None
        """Set once the beginning is written: from then on chunks may be written to it."""
        self._lines: list[bytes] = []
        self._size = 0
        self._wake = asyncio.Event()
        self.dropped = False
        self.drop: Callable[[], None] = lambda: None
        """Ends the connection, even while a write to it waits."""

    def offer(self, change: Change) -> None:
        """Keep the change's line if the client is to see it."""
        line = self.line(change)
        if line is not None:
            self.add(line)

    def add(self, line: bytes) -> None:
        if self.dropped:
            return
        self._lines.append(line)
        self._size += len(line)
        if self._size > PENDING_LIMIT:
            self.dropped = True
            self._lines = []
            self.drop()
        if self.transport is None or self._flusher is None or self.dropped:
            self._wake.set()
        elif not self._noted:
            self._noted = True
            self._flusher.note(self)

    def flush(self, flusher: Flusher) -> None:
        """Write what waits, or leave it to the client's task when the connection is not ready for more."""
        self._noted = False
        transport = self.transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size() > BEHIND:
            self._wake.set()
        elif self._lines:
            transport.write(flusher.framed(self._lines))
            self._lines, self._size = [], 0

    async def take(self, timeout: float) -> bytes:
        """Everything that waits; b"" when nothing came in time."""
        if not self._lines:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
        self._wake.clear()
        lines, self._lines, self._size = b"".join(self._lines), [], 0
        return lines

    def line(self, change: Change) -> bytes | None:
        """What the client sees of a change, None if nothing."""
        chosen = self._watch.selection
        item = self._shown(change.item)
        if chosen.everything:
            return self._render(change.kind, item, change)
        previous = None if change.previous is None else self._shown(change.previous)
        now = change.kind != "DELETED" and chosen.matches(item)
        before = previous is not None and chosen.matches(previous)
        if now:
            return self._render("MODIFIED" if before else "ADDED", item, change)
        if before and previous is not None:
            if change.kind == "DELETED":
                return self._render("DELETED", item, change)
            return self._render("DELETED", _left(previous, change.revision), change)
        return None

    def end(self) -> None:
        """What is watched is no more what it was: the client lists and watches again."""
        self.dropped = True
        self._wake.set()

    def _shown(self, item: Item) -> Item:
        return item if self._watch.present is None else self._watch.present(item)

    def _render(self, kind: str, item: Item, change: Change) -> bytes:
        if self._watch.render is not None:
            return self._watch.render(kind, item)
        if kind == change.kind and item is change.item:
            return change.line
        return encoding.event(kind, item.body)


_flushers: WeakKeyDictionary[Shelf, Flusher] = WeakKeyDictionary()
"""Of each resource's watchers."""


def _left(previous: Item, revision: int) -> Item:
    """An object that no longer matches: as it was, at the revision of the change that took it away."""
    body = encoding.with_revision(encoding.encode(previous.decode()), revision)
    return Item(previous.namespace, previous.name, revision, body)


async def serve(
    request: web.BaseRequest,
    watch: Watch,
    shelf: Shelf,
    current: list[Item],
    revision: Callable[[], int],
    watchers: set[Callable[[], None]] | None = None,
) -> web.StreamResponse:
    """Answer with the stream until its time is over, the client goes, or it is too slow."""
    stream = Stream(watch, _flushers.setdefault(shelf, Flusher()))
    if (transport := request.transport) is not None:
        stream.drop = transport.abort
    limit = watch.timeout
    try:
        first = _beginning(stream, watch, shelf, current, revision())
    except Gone as gone:
        limit, first = 0.0, iter((watch.frame("ERROR", orjson.dumps(gone.status())),))
    feed = None if watch.convert is None else Feed(watch.convert, stream.offer, stream.end)
    unsubscribe = shelf.subscribe(watch.selection.namespace, feed.put if feed else stream.offer)
    if watchers is not None:
        watchers.add(stream.end)
    try:
        if feed is None:
            return await _send(request, stream, watch, first, revision, limit=limit)
        feeding = spawn(feed.run(), name=f"conversion for a watch of {shelf.place.prefix}")
        try:
            return await _send(request, stream, watch, first, lambda: feed.revision(revision()), limit=limit)
        finally:
            feeding.cancel()
    finally:
        unsubscribe()
        if watchers is not None:
            watchers.discard(stream.end)


def concerned(shelf: Shelf, namespace: str, since: int | None) -> list[Item]:
    """The stored objects that a watch begins with."""
    if since is None:
        return list(shelf.list(namespace))
    try:
        changes = shelf.changes(since)
    except Gone:
        return []
    return list(items(each for each in changes if not namespace or namespace == each.item.namespace))


def _beginning(stream: Stream, watch: Watch, shelf: Shelf, current: list[Item], revision: int) -> Iterator[bytes]:
    """The lines that come before what happens from now on. Raises Gone."""
    if watch.since is None:
        return _present(watch, current, revision)
    changes = shelf.changes(watch.since)
    namespace = watch.selection.namespace
    return _past(stream, [each for each in changes if not namespace or namespace == each.item.namespace])


def _present(watch: Watch, current: list[Item], revision: int) -> Iterator[bytes]:
    for item in current:
        yield watch.render("ADDED", item) if watch.render else encoding.event("ADDED", item.body)
    if watch.initial_events_end:
        yield watch.bookmark(revision, True)


def _past(stream: Stream, changes: list[Change]) -> Iterator[bytes]:
    for change in changes:
        if (line := stream.line(change)) is not None:
            yield line


async def _send(
    request: web.BaseRequest,
    stream: Stream,
    watch: Watch,
    first: Iterator[bytes],
    revision: Callable[[], int],
    *,
    limit: float,
) -> web.StreamResponse:
    loop = asyncio.get_running_loop()
    response = web.StreamResponse(
        headers={"Content-Type": watch.content_type, "Cache-Control": "no-cache, private", **request.get("flow", {})}
    )
    response.enable_chunked_encoding()
    await response.prepare(request)
    deadline = loop.time() + limit
    marked = revision()
    for chunk in _chunks(first):
        await response.write(chunk)
    stream.transport = request.transport
    while not stream.dropped:
        left = deadline - loop.time()
        data = await stream.take(max(0.0, min(left, BOOKMARK_SECONDS) if watch.bookmarks else left))
        ended = loop.time() >= deadline
        if not data and watch.bookmarks and (ended or revision() != marked):
            marked = revision()
            data = watch.bookmark(marked, False)
        if data:
            await response.write(data)
        if ended:
            break
    stream.transport = None  # nothing more after the last chunk: the connection serves other requests
    with suppress(ConnectionError, StatusError):
        await response.write_eof()
    return response


def _chunks(lines: Iterator[bytes]) -> Iterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
