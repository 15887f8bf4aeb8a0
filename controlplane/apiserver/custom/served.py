"""Which custom resources are served right now, from the CustomResourceDefinitions in the watch cache.

A definition is read when somebody first asks for it, and again after it changed; without any this holds nothing.
"""

from __future__ import annotations

from typing import Any

import orjson

from panal.resources import resource

from .. import keys
from ..cache import Cache, Change, Item
from .resource import VERBS, CustomResource

DEFINITIONS = resource("customresourcedefinitions")


class Served:
    """The custom resources of one API server. Used on the event loop's thread only."""

    def __init__(self, cache: Cache) -> None:
        self._shelf = cache.shelf(keys.location(DEFINITIONS))
        self._known: dict[str, tuple[CustomResource, ...]] = {}
        self.memo: dict[Any, Any] = {}
        """Documents made from all definitions; forgotten when one changes."""
        self._shelf.subscribe("", self._on_change)

    def __len__(self) -> int:
        return len(self._shelf)

    def find(self, group: str, version: str, plural: str) -> CustomResource | None:
        """The established resource of that place, None where none is served."""
        item = self._shelf.get("", f"{plural}.{group}") if len(self._shelf) else None
        if item is None:
            return None
        return next((each for each in self._of(item) if each.version == version and each.verbs), None)

    def all(self) -> tuple[CustomResource, ...]:
        """All that are established."""
        if not len(self._shelf):
            return ()
        return tuple(each for item in self._shelf.list() for each in self._of(item) if each.verbs)

    def by_kind(self, api_version: str, kind: str) -> CustomResource | None:
        """The established resource whose objects say this apiVersion and kind."""
        return next((each for each in self.all() if (each.api_version, each.kind) == (api_version, kind)), None)

    def stored(self, name: str) -> CustomResource | None:
        """The storage version of a definition, established or not."""
        item = self._shelf.get("", name)
        if item is None:
            return None
        return storage_version(item)

    def _of(self, item: Item) -> tuple[CustomResource, ...]:
        found = self._known.get(item.name)
        if found is None:
            found = self._known[item.name] = tuple(parse(item))
        return found

    def _on_change(self, change: Change) -> None:
        name = change.item.name
        self.memo.clear()
        before = self._known.pop(name, ())
        after = () if change.kind == "DELETED" else tuple(parse(change.item))
        if before and after and _same(before, after):
            self._known[name] = before
            return
        if after:
            self._known[name] = after
        for each in before:
            each.end()


def _same(before: tuple[CustomResource, ...], after: tuple[CustomResource, ...]) -> bool:
    """Whether only the definition's metadata or status changed, in nothing that concerns its objects."""
    if len(before) != len(after) or any(
        (old, old.terminating) != (new, new.terminating) for old, new in zip(before, after, strict=True)
    ):
        return False
    old, new = orjson.loads(before[0].source), orjson.loads(after[0].source)
    return bool(old["spec"] == new["spec"])


def parse(item: Item) -> list[CustomResource]:
    """The versions that a definition has established and serves."""
    obj = item.decode()
    status = obj.get("status") or {}
    conditions = {each.get("type"): each.get("status") for each in status.get("conditions") or ()}
    if conditions.get("Established") != "True":
        return []
    return [_made(item, obj, version) for version in obj["spec"]["versions"] if version.get("served")]


def storage_version(item: Item) -> CustomResource | None:
    obj = item.decode()
    version = next((each for each in obj["spec"]["versions"] if each.get("storage")), None)
    return None if version is None else _made(item, obj, version)


def _made(item: Item, obj: dict[str, Any], version: dict[str, Any]) -> CustomResource:
    spec = obj["spec"]
    names = {**spec["names"], **((obj.get("status") or {}).get("acceptedNames") or {})}
    terminating = bool(obj["metadata"].get("deletionTimestamp"))
    return CustomResource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"] or spec["names"]["plural"],
        kind=names["kind"] or spec["names"]["kind"],
        namespaced=spec["scope"] == "Namespaced",
        singular=names.get("singular") or "",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        verbs=VERBS,
        subresources=tuple(name for name in ("status", "scale") if name in (version.get("subresources") or {})),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        storage=next(each["name"] for each in spec["versions"] if each.get("storage")),
        source=item.body,
        since=item.revision,
        terminating=terminating,
    )
