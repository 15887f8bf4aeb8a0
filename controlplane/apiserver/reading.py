"""Lists: which items, of which revision, in which pages. From the cache; the past from the store's history."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from panal.errors import BadRequest, not_found
from panal.resources import Resource
from panal.selectors import FieldSelector, LabelSelector, parse_fields, parse_labels

from ..store import Compacted, Store
from . import continuation, encoding, keys, listoptions
from .cache import Cache, Item, Shelf
from .custom.resource import CustomResource
from .listoptions import too_large
from .request import Query, Target
from .strategy import strategy_for

if TYPE_CHECKING:
    from .custom.conversion import Conversions

Fields = Callable[[dict[str, Any]], dict[str, str]]
"""A kind's selectable fields."""


@dataclass(frozen=True)
class Selection:
    """Which objects of a resource are meant: by namespace, labels, fields."""

    namespace: str
    labels: LabelSelector
    fields: FieldSelector
    select: Fields

    @property
    def everything(self) -> bool:
        return self.labels.empty and self.fields.empty

    def matches(self, item: Item) -> bool:
        if not self.labels.empty and not self.labels.matches(item.labels):
            return False
        return self.fields.empty or self.fields.matches(item.fields(self.select))


@dataclass(frozen=True)
class Listed:
    """A list's items (or one page of them) as of `revision`."""

    items: list[Item]
    revision: int
    token: str = ""
    remaining: int | None = None


def selection(target: Target, query: Query, select: Fields) -> Selection:
    """Raises BadRequest for selectors that cannot be read."""
    fields = parse_fields(query.get("fieldSelector"))
    if target.name:  # a watch of one object
        if not fields.empty and fields.required("metadata.name") != target.name:
            raise BadRequest("fieldSelector metadata.name doesn't match requested name")
        fields = FieldSelector((*fields.terms, ("metadata.name", True, target.name)))
    namespace = target.namespace if target.resource != "namespaces" else ""
    return Selection(namespace, parse_labels(query.get("labelSelector")), fields, select)


class Reader:
    """Reads of one API server."""

    def __init__(self, cache: Cache, store: Store, conversions: Conversions | None = None) -> None:
        self._cache = cache
        self._store = store
        self._conversions = conversions

    async def probe(self) -> None:
        """Read from the store. Raises what goes wrong."""
        await self._store.get(keys.ROOT + "health")

    def shelf(self, resource: Resource) -> Shelf:
        return self._cache.shelf(keys.location(resource))

    async def settle(self, resource: Resource, items: Callable[[], Iterable[Item]]) -> None:
        """Until the caller next waits, each item can be shown in the resource's version. Raises StatusError."""
        if self._conversions is not None and isinstance(resource, CustomResource) and resource.webhook is not None:
            await self._conversions.settle(resource, items)

    async def settle_one(self, resource: Resource, namespace: str, name: str) -> None:
        """The same for one object, if it is there."""
        shelf = self.shelf(resource)
        await self.settle(resource, lambda: [item] if (item := shelf.get(namespace, name)) is not None else [])

    async def settle_all(self, resource: Resource, namespace: str) -> None:
        """The same for all of them."""
        shelf = self.shelf(resource)
        await self.settle(resource, lambda: shelf.list(namespace if resource.namespaced else ""))

    def get(self, resource: Resource, namespace: str, name: str, revision: int = 0) -> Item:
        """An object not older than `revision`. Raises NotFound, and a Timeout for a revision of the future."""
        if revision > self._cache.revision:
            raise too_large(revision, self._cache.revision)
        item = self.shelf(resource).get(namespace if resource.namespaced else "", name)
        if item is None:
            raise not_found(resource.plural, resource.group, name)
        return strategy_for(resource).present(item)

    async def list(self, resource: Resource, chosen: Selection, query: Query) -> Listed:
        """One page. Raises BadRequest, Invalid, Gone and, for a revision of the future, a Timeout."""
        options = listoptions.for_list(query)
        await self.settle_all(resource, chosen.namespace)
        if options.token:
            position = continuation.decode(options.token)
            if position.revision < 0:  # inconsistent, but complete: the rest as it is now
                rest = self._now(resource, chosen, position.last)
                return self._cut(rest, self._cache.revision, chosen, options.limit)
            return await self._page(resource, chosen, position.revision, position.last, options.limit)
        if options.revision > self._cache.revision:
            raise too_large(options.revision, self._cache.revision)
        limit = options.limit if options.paged else 0
        if options.exact:
            return await self._page(resource, chosen, options.revision, "", limit)
        return self._cut(self._now(resource, chosen), self._cache.revision, chosen, limit)

    def current(self, resource: Resource, chosen: Selection) -> builtins.list[Item]:
        """All items that are meant, now."""
        return list(self._now(resource, chosen))

    def _now(self, resource: Resource, chosen: Selection, after: str = "") -> Iterator[Item]:
        shelf = self.shelf(resource)
        name, namespace = chosen.fields.required("metadata.name"), chosen.namespace
        if not resource.namespaced:
            namespace = ""
        else:
            namespace = namespace or chosen.fields.required("metadata.namespace") or ""
        if name is not None and (namespace or not resource.namespaced):
            item = shelf.get(namespace, name)
            items: Iterable[Item] = (item,) if item is not None else ()
        else:
            items = shelf.list(namespace)
        strategy = strategy_for(resource)
        present = strategy.present if strategy.converts else None
        for stored in items:
            if after and _place(stored) <= after:
                continue
            item = stored if present is None else present(stored)
            if chosen.everything or chosen.matches(item):
                yield item

    async def _page(self, resource: Resource, chosen: Selection, revision: int, after: str, limit: int) -> Listed:
        if self.shelf(resource).revision <= revision:
            return self._cut(self._now(resource, chosen, after), revision, chosen, limit)
        place = keys.location(resource)
        prefix = place.prefix_in(chosen.namespace if resource.namespaced else "")
        try:
            page = await self._store.list(prefix, at=revision, after=place.prefix + after if after else None)
        except Compacted as gone:
            token = continuation.encode(continuation.Position(-1, after)) if after else ""
            raise listoptions.expired(token) from gone
        present = strategy_for(resource).present
        past = [_item(entry.key, entry.revision, entry.value) for entry in page.entries]
        await self.settle(resource, lambda: past)
        items = map(present, past)
        return self._cut((item for item in items if chosen.matches(item)), revision, chosen, limit)

    def _cut(self, items: Iterator[Item], revision: int, chosen: Selection, limit: int) -> Listed:
        found = list(items)
        if limit <= 0 or len(found) <= limit:
            return Listed(found, revision)
        token = continuation.encode(continuation.Position(revision, _place(found[limit - 1])))
        return Listed(found[:limit], revision, token, len(found) - limit if chosen.everything else None)


def _item(key: str, revision: int, value: bytes) -> Item:
    _, namespace, name = keys.parse(key)
    return Item(namespace, name, revision, encoding.with_revision(value, revision))


def _place(item: Item) -> str:
    return f"{item.namespace}/{item.name}" if item.namespace else item.name
