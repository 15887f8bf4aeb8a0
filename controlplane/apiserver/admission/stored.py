"""The admission plugins' Reader over the watch cache."""

from __future__ import annotations

from collections.abc import Iterator

from panal.resources import Resource

from .. import keys
from ..cache import Cache, Item
from .attributes import Object

_FEW = 64
"""Objects of a cluster-wide resource (classes of pods, of storage) that are kept decoded until one of them changes."""


class StoredObjects:
    """Objects as the cache has them; decoded when asked for. Who asks changes none of them."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._decoded: dict[Resource, tuple[int, list[Object]]] = {}
        self._last: dict[Resource, Item] = {}
        self._seen: dict[Resource, Object] = {}
        """The object of each resource that was asked for last: the namespace of one write after the other."""

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        item = self._cache.shelf(keys.location(resource)).get(namespace, name)
        if item is None:
            return None
        if item is not self._last.get(resource):
            self._last[resource], self._seen[resource] = item, item.decode()
        return self._seen[resource]

    def list(self, resource: Resource, namespace: str = "") -> Iterator[Object]:
        shelf = self._cache.shelf(keys.location(resource))
        if resource.namespaced or len(shelf) > _FEW:
            for item in shelf.list(namespace):
                yield item.decode()
            return
        known = self._decoded.get(resource)
        if known is None or known[0] != shelf.revision:
            known = self._decoded[resource] = (shelf.revision, [item.decode() for item in shelf.list()])
        yield from known[1]
