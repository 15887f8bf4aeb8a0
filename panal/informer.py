"""A local copy of one resource: list, then watch, and list again when the watch's revision is gone (410).

Objects handed out are shared: never change one in place. Handlers are called in the order of revisions, on the event
loop, and must not block; usually they put a key into a work queue.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .client import Client, Object, Unreachable
from .errors import Gone, StatusError
from .resources import Resource

Key = tuple[str, str]
"""(namespace, name); the namespace is "" for what has none."""

_log = logging.getLogger(__name__)

_RETRY_FIRST, _RETRY_MOST = 0.02, 1.0
"""Seconds between attempts while the API server is away: short, for it is back within a second as a rule."""
_WATCH_SECONDS = (300, 600)
"""A watch is asked to end after a random time in between, as client-go does, so that dead connections are noticed."""


@dataclass(frozen=True)
class Applied:
    """An object was added or changed; `old` is None when it is new here."""

    new: Object
    old: Object | None


@dataclass(frozen=True)
class Deleted:
    """An object is gone; `old` is its last known state."""

    old: Object


Delta = Applied | Deleted
Handler = Callable[[Delta], None]


def key_of(obj: Object) -> Key:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


class Informer:
    """The copy, and the task that keeps it (`run`)."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        transform: Callable[[Object], Object] | None = None,
    ) -> None:
        """`transform` may drop what is never read (managedFields, say) from each object before it is kept."""
        self.resource = resource
        self._client = client
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._version: str | None = None
        self._transform = transform
        self._objects: dict[Key, Object] = {}
        self._handlers: list[Handler] = []
        self._synced = asyncio.Event()

    def get(self, namespace: str | None, name: str) -> Object | None:
        return self._objects.get((namespace or "", name))

    def all(self) -> Iterable[Object]:
        return self._objects.values()

    def keys(self) -> Iterable[Key]:
        return self._objects.keys()

    def __len__(self) -> int:
        return len(self._objects)

    def subscribe(self, handler: Handler) -> None:
        """Call `handler` for what is here already, then for every change."""
        self._handlers.append(handler)
        for obj in list(self._objects.values()):
            handler(Applied(obj, None))

    async def synced(self) -> None:
        """Wait until the first list is here."""
        await self._synced.wait()

    @property
    def has_synced(self) -> bool:
        return self._synced.is_set()

    async def run(self) -> None:
        """Keep the copy until cancelled, through any failure of the API server."""
        delay = _RETRY_FIRST
        while True:
            before = self._version
            try:
                if self._version is None:
                    await self._list()
                    self._synced.set()
                await self._follow()
                delay = _RETRY_FIRST
                continue
            except Gone:
                self._version = None
                continue
            except (Unreachable, StatusError) as error:
                level = logging.DEBUG if isinstance(error, Unreachable) else logging.WARNING
                _log.log(level, "%s: %s", self.resource.group_resource, error)
            except Exception:
                # A broken line or a socket's odd error must not end the process that lives on this copy.
                _log.exception("%s: starting over", self.resource.group_resource)
                self._version = None
            if self._version != before:
                delay = _RETRY_FIRST
            await asyncio.sleep(delay * random.uniform(0.75, 1.25))
            delay = min(delay * 2, _RETRY_MOST)

    async def _list(self) -> None:
        answer = await self._client.list(
            self.resource,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )
        kept: set[Key] = set()
        for item in answer.get("items") or ():
            kept.add(key_of(item))
            self._apply(item)
        for key in [key for key in self._objects if key not in kept]:
            self._delete(key)
        self._version = str(answer["metadata"]["resourceVersion"])

    async def _follow(self) -> None:
        assert self._version is not None
        seconds = random.randint(*_WATCH_SECONDS)
        async with self._client.watch(
            self.resource,
            self._namespace,
            resource_version=self._version,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            timeout_seconds=seconds,
        ) as events:
            async for kind, obj in events:
                if kind == "DELETED":
                    self._delete(key_of(obj), obj)
                elif kind != "BOOKMARK":
                    self._apply(obj)
                self._version = str(obj["metadata"]["resourceVersion"])

    def _apply(self, obj: Object) -> None:
        if self._transform is not None:
            obj = self._transform(obj)
        key = key_of(obj)
        old = self._objects.get(key)
        if old is not None:
            if old["metadata"].get("resourceVersion") == obj["metadata"].get("resourceVersion"):
                return
            if old["metadata"].get("uid") != obj["metadata"].get("uid"):
                self._delete(key)
                old = None
        self._objects[key] = obj
        self._tell(Applied(obj, old))

    def _delete(self, key: Key, last: Object | None = None) -> None:
        old = self._objects.pop(key, None)
        if old is not None:
            self._tell(Deleted(last or old))

    def _tell(self, delta: Delta) -> None:
        for handler in self._handlers:
            try:
                handler(delta)
            except Exception:
                _log.exception("a handler of %s failed", self.resource.group_resource)


async def all_synced(*informers: Informer) -> None:
    """Wait until each has its first list."""
    for informer in informers:
        await informer.synced()
