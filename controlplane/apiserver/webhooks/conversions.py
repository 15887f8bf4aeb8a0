"""Conversion webhooks: servers that turn custom objects of one version into those of another.

Asked when objects are read in another version than they lie in the store, many of a list at once, and when they are
stored; what was converted is remembered with the object. `custom/conversion.py` says what is asked and what is taken.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import orjson

from panal.resources import Resource

from ..cache import Item
from ..custom import conversion, pruning
from ..custom.resource import CustomResource
from ..custom.strategy import CustomStrategy
from ..strategy import strategy_for
from .calling import Caller, Unreachable

Object = dict[str, Any]

_SECONDS = 30.0
"""How long a webhook may take, as in Kubernetes."""


_BATCH = 1024 * 1024
"""Bytes of objects that are asked about at once, so that the answer is no longer than may be read."""


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and size + len(item.body) > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += len(item.body)
    if batch:
        yield batch


class Conversions:
    """Asks the webhooks of definitions."""

    def __init__(self, caller: Caller, rng: random.Random) -> None:
        self._caller = caller
        self._rng = rng

    async def settle(self, resource: Resource, items: Callable[[], Iterable[Item]]) -> None:
        """See that each item can be shown. `items` is asked again after each wait. Raises StatusError."""
        if not isinstance(resource, CustomResource) or resource.webhook is None:
            return
        strategy = strategy_for(resource)
        assert isinstance(strategy, CustomStrategy)
        while waiting := [each for each in items() if not strategy.is_mine(each) and each.shown_as(resource) is None]:
            for together in _batches(waiting):
                objects = [strategy.read(each) for each in together]
                made = await self._converted(resource, objects, resource.api_version)
                for item, obj in zip(together, made, strict=True):
                    strategy.show(item, obj)

    async def convert(self, obj: Object, resource: Resource) -> Object:
        """A copy of the object in that resource's version. Raises StatusError."""
        assert isinstance(resource, CustomResource)
        if obj["apiVersion"] == resource.api_version:
            return dict(obj)
        [made] = await self._converted(resource, [obj], resource.api_version)
        pruning.prune(resource.schema, made)
        return made

    async def to_store(self, resource: Resource, obj: Object) -> Object:
        """A copy of the object in the version that is stored. Raises StatusError."""
        assert isinstance(resource, CustomResource)
        [made] = await self._converted(resource, [obj], f"{resource.group}/{resource.storage}")
        pruning.prune(resource.schema_of(resource.storage), made)
        return made

    async def _converted(self, resource: CustomResource, objects: Sequence[Object], version: str) -> list[Object]:
        """All of them in that version. Raises StatusError."""
        about = f"conversion webhook for {conversion.kind_of(objects[0])}"
        uid = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        webhook = resource.webhook or {}
        try:
            asked = conversion.review(webhook, objects, version, uid)
        except conversion.Wrong as why:
            raise conversion.failed(str(why)) from why
        try:
            raw = await self._caller.call(webhook.get("clientConfig") or {}, _SECONDS, orjson.dumps(asked))
            found = conversion.answered(raw, asked)
        except (Unreachable, conversion.Wrong) as why:
            raise conversion.failed(f"{about} failed: {why}") from why
        if len(found) != len(objects):
            raise conversion.failed(f"{about} returned {len(found)} objects, expected {len(objects)}")
        try:
            return [conversion.taken(old, new, version) for old, new in zip(objects, found, strict=True)]
        except conversion.Wrong as why:
            raise conversion.failed(f"{about} returned invalid {why}") from why
