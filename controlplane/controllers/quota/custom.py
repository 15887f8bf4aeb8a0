"""The custom objects that quotas count: followed once a quota names their kind, until its definition goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from panal.informer import Applied, Delta, Handler, Informer
from panal.resources import Resource, resource

from ..context import Context
from ..meta import Object, metadata, name, spec, status

DEFINITIONS = resource("customresourcedefinitions", "apiextensions.k8s.io")


def served(definition: Object | None) -> Resource | None:
    """What an established definition serves, in its storage version where that is served; None for nothing."""
    if definition is None or metadata(definition).get("deletionTimestamp"):
        return None
    conditions = {item.get("type"): item.get("status") for item in status(definition).get("conditions") or ()}
    versions = [item for item in spec(definition).get("versions") or () if item.get("served")]
    if conditions.get("Established") != "True" or not versions:
        return None
    version = max(versions, key=lambda item: bool(item.get("storage")))
    body, names = spec(definition), spec(definition)["names"]
    return Resource(body["group"], version["name"], names["plural"], names["kind"], body["scope"] == "Namespaced")


def _counted(obj: Object) -> Object:
    meta = metadata(obj)
    return {"metadata": {field: meta[field] for field in ("name", "namespace", "uid") if field in meta}}


class CustomKinds:
    """Informers by definition. Used on the event loop's thread only."""

    def __init__(self, context: Context, on_object: Handler, on_definition: Callable[[str, str], None]) -> None:
        """`on_definition` is told the group and plural of every definition that comes, changes or goes."""
        self._context = context
        self._on_object = on_object
        self._on_definition = on_definition
        self._definitions: Informer | None = None
        self._running: dict[str, tuple[Informer, asyncio.Task[None]]] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.Event().wait()

    async def informer(self, group: str, plural: str) -> Informer | None:
        """Of the kind's objects (as metadata only), not synced yet; None while it has no definition."""
        if self._definitions is None:
            self._definitions = self._context.informers.of(DEFINITIONS)
            self._definitions.subscribe(self._on)
        await self._definitions.synced()
        which = f"{plural}.{group}"
        wanted = served(self._definitions.get("", which))
        if (known := self._running.get(which)) is not None:
            if known[0].resource == wanted:
                return known[0]
            self._stop(which)
        if wanted is None or self._group is None:
            return None
        informer = Informer(self._context.client, wanted, transform=_counted)
        informer.subscribe(self._on_object)
        task = self._group.create_task(informer.run(), name=f"count of {which}")
        self._running[which] = informer, task
        return informer

    def _stop(self, which: str) -> None:
        if (known := self._running.pop(which, None)) is not None:
            known[1].cancel()

    def _on(self, delta: Delta) -> None:
        definition = delta.new if isinstance(delta, Applied) else delta.old
        if not isinstance(delta, Applied) or served(definition) is None:
            self._stop(name(definition))
        plural, _, group = name(definition).partition(".")
        self._on_definition(group, plural)
