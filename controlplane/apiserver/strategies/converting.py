"""The part of a strategy that shows one stored object in the words of whichever version is asked for."""

from __future__ import annotations

from typing import ClassVar

import orjson

from panal.resources import Resource

from .. import encoding
from ..cache import Item
from ..strategy import Object, Strategy


class Converting(Strategy):
    """A kind whose versions differ; one of them is stored."""

    converts = True
    stored_version: ClassVar[str]
    """The apiVersion in which objects are stored; others are met where they were stored by an earlier program."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource)
        self._head = orjson.dumps({"kind": resource.kind, "apiVersion": resource.api_version})[:-1]

    def convert(self, obj: Object, version: str) -> Object:
        """The object, which has another apiVersion, as that version has it; may share parts with it."""
        raise NotImplementedError

    def present(self, item: Item) -> Item:
        if item.body.startswith(self._head):
            return item
        if (known := item.shown_as(self.resource)) is not None:
            return known
        obj = self.convert(item.decode(), self.resource.api_version)
        body = encoding.with_revision(encoding.encode(obj), item.revision)
        return item.show(self.resource, Item(item.namespace, item.name, item.revision, body))

    def to_store(self, obj: Object) -> Object:
        return obj if obj["apiVersion"] == self.stored_version else self.convert(obj, self.stored_version)
