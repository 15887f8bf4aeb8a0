"""A watch cache over a store in memory, that tests write objects into."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from panal.controlplane.apiserver import encoding, keys
from panal.controlplane.apiserver.cache import Cache
from panal.controlplane.store.memory import MemoryStore
from panal.resources import Resource
from panal.tasks import cancel, spawn

Object = dict[str, Any]


class World:
    """A store and the cache that follows it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.cache = Cache(self.store)

    async def put(self, resource: Resource, name: str, namespace: str = "", **fields: Any) -> int:
        """Write an object as the registry would; its revision, which the cache shows by then."""
        labels = fields.pop("labels", None)
        metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **fields.pop("metadata", {})}
        metadata |= {"labels": labels} if labels else {}
        obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata, **fields}
        return await self._append(resource, namespace, name, encoding.encode(obj))

    async def delete(self, resource: Resource, name: str, namespace: str = "") -> int:
        return await self._append(resource, namespace, name, None)

    async def _append(self, resource: Resource, namespace: str, name: str, value: bytes | None) -> int:
        key = keys.location(resource).key(namespace, name)
        current = await self.store.get(key)
        revision = await self.store.append(key, value, expect=current.revision if current else 0)
        await self.cache.reached(revision)
        return revision


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.cache.start()
    running = spawn(made.cache.run(), name="watch cache")
    yield made
    await cancel(running)
