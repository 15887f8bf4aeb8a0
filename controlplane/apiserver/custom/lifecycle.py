"""Follows CustomResourceDefinitions: gives each its accepted names and conditions, and empties those that are deleted.

Driven by the watch cache; a restarted server looks at all of them once. Writes go through the registry like anybody's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

from panal.errors import Conflict, NotFound, StatusError

from .. import keys
from ..cache import Cache, Change, Item
from ..clock import timestamp
from ..deletion import DeleteOptions
from ..registry import Registry
from ..strategy import RequestContext
from . import naming
from .served import DEFINITIONS, Served

Object = dict[str, Any]

_log = logging.getLogger(__name__)

_AGAIN = 1.0
"""Seconds before a write that failed is tried again."""


class Lifecycle:
    """One task that looks at one definition after the other."""

    def __init__(self, cache: Cache, registry: Registry, served: Served, now: Callable[[], float]) -> None:
        self._cache = cache
        self._registry = registry
        self._served = served
        self._now = now
        self._shelf = cache.shelf(keys.location(DEFINITIONS))
        self._waiting: dict[str, None] = {item.name: None for item in self._shelf.list()}
        self._wake = asyncio.Event()
        self._emptying: dict[str, Callable[[], None]] = {}
        """How to stop following the objects of a definition that is being deleted, by its name."""
        self._shelf.subscribe("", self._on_change)

    async def run(self) -> None:
        """For ever."""
        while True:
            while self._waiting:
                name = next(iter(self._waiting))
                del self._waiting[name]
                try:
                    await self._look(name)
                except (NotFound, Conflict):
                    continue
                except StatusError as error:
                    _log.warning("the definition %s: %s", name, error)
                    asyncio.get_running_loop().call_later(_AGAIN, self._add, name)
            self._wake.clear()
            await self._wake.wait()

    def _add(self, name: str) -> None:
        self._waiting[name] = None
        self._wake.set()

    def _on_change(self, change: Change) -> None:
        self._add(change.item.name)
        if change.kind == "DELETED":
            self._names_freed(change.item.name)

    def _neighbours(self, name: str) -> Iterator[Item]:
        """The other definitions of the same group."""
        group = name.partition(".")[2]
        return (each for each in self._shelf.list() if each.name != name and each.name.partition(".")[2] == group)

    def _names_freed(self, name: str) -> None:
        for other in self._neighbours(name):
            if b'Conflict"' in other.body:
                self._add(other.name)

    async def _look(self, name: str) -> None:
        item = self._shelf.get("", name)
        if item is None:
            self._stop_following(name)
            return
        found = item.decode()
        if not found["metadata"].get("deletionTimestamp"):
            others = [each.decode() for each in self._neighbours(name)]
            before = (found.get("status") or {}).get("acceptedNames")
            await self._write(name, lambda obj: {"status": naming.reviewed(obj, others, self._time())})
            if before != found["spec"]["names"]:
                self._names_freed(name)
        elif naming.FINALIZER in (found["metadata"].get("finalizers") or ()):
            await self._empty(name, found)

    def _time(self) -> str:
        return timestamp(self._now())

    async def _write(self, name: str, change: Callable[[Object], Object]) -> None:
        """Merge what `change` says of the definition into it."""

        def merged(obj: Object) -> Object:
            wanted = change(obj)
            obj["status"] = wanted["status"]
            if "finalizers" in wanted:
                obj["metadata"]["finalizers"] = wanted["finalizers"]
            return obj

        await self._registry.update(self._context(name), DEFINITIONS, merged)

    def _context(self, name: str, namespace: str = "", subresource: str = "status") -> RequestContext:
        return RequestContext(
            user="system:apiserver",
            namespace=namespace,
            name=name,
            now=self._time(),
            field_manager="kube-apiserver",
            subresource=subresource,
            groups=("system:masters",),
        )

    async def _empty(self, name: str, found: Object) -> None:
        """Delete the objects of a definition that goes; then let it go."""
        resource = self._served.stored(name)
        established = any(
            each["type"] == "Established" and each["status"] == "True"
            for each in (found.get("status") or {}).get("conditions") or ()
        )
        if resource is None or not established:
            await self._release(name, "NeverEstablished", "resource was never established")
            return
        await self._terminating(name, "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress")
        shelf = self._cache.shelf(keys.location(resource))
        for item in list(shelf.list()):
            context = self._context(item.name, item.namespace, "")
            try:
                await self._registry.delete(context, resource, DeleteOptions())
            except (NotFound, Conflict):
                continue
        if len(shelf):
            if name not in self._emptying:
                self._emptying[name] = shelf.subscribe("", lambda change: self._on_gone(name, change))
            if len(shelf):
                return
        await self._release(name, "InstanceDeletionCompleted", "removed all instances")

    def _on_gone(self, name: str, change: Change) -> None:
        if change.kind == "DELETED":
            self._add(name)

    async def _terminating(self, name: str, status: str, reason: str, message: str) -> None:
        await self._write(name, lambda obj: {"status": _terminating(obj, status, reason, message, self._time())})

    async def _release(self, name: str, reason: str, message: str) -> None:
        def released(obj: Object) -> Object:
            left = [each for each in obj["metadata"].get("finalizers") or () if each != naming.FINALIZER]
            return {"status": _terminating(obj, "False", reason, message, self._time()), "finalizers": left}

        await self._write(name, released)
        self._stop_following(name)

    def _stop_following(self, name: str) -> None:
        if (stop := self._emptying.pop(name, None)) is not None:
            stop()


def _terminating(obj: Object, status: str, reason: str, message: str, now: str) -> Object:
    before = obj.get("status") or {}
    conditions = naming.with_condition(
        list(before.get("conditions") or ()), "Terminating", status, reason, message, now
    )
    return {**before, "conditions": conditions}
