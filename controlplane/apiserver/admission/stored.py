"""The admission plugins' Reader over the watch cache."""

from __future__ import annotations

from collections.abc import Iterator

from panal.resources import Resource

from .. import keys
from ..cache import Cache
from .attributes import Object


class StoredObjects:
    """Objects as the cache has them; decoded when asked for."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        item = self._cache.shelf(keys.location(resource)).get(namespace, name)
        return None if item is None else item.decode()

    def list(self, resource: Resource, namespace: str = "") -> Iterator[Object]:
        for item in self._cache.shelf(keys.location(resource)).list(namespace):
            yield item.decode()
