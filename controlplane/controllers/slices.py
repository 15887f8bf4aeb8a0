"""The slices of a Service as the controller that writes them knows them: shared by EndpointSlices and their mirrors.

What was just written counts at once, though the informer has not heard of it: the next change of the same Service need
not wait for that, nor meet a conflict with what the controller wrote itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from typing import Protocol

from panal.client import Client
from panal.errors import Conflict, NotFound
from panal.informer import Applied, Deleted, Delta
from panal.resources import ENDPOINTSLICES

from .context import Context
from .endpointslice.decide import MANAGED_BY, SERVICE_NAME
from .expectations import Expectations
from .meta import Key, Object, labels, metadata, name, namespace, uid


class Plan(Protocol):
    @property
    def create(self) -> tuple[Object, ...]: ...
    @property
    def update(self) -> tuple[Object, ...]: ...
    @property
    def delete(self) -> tuple[Object, ...]: ...


class Slices:
    """The slices that `manager` made, by (namespace, name) of what they are made for; `add` queues such a key."""

    def __init__(self, context: Context, manager: str, add: Callable[[Key], None]) -> None:
        def by_key(obj: Object) -> Iterable[Hashable]:
            if labels(obj).get(MANAGED_BY) == manager and (service := labels(obj).get(SERVICE_NAME)):
                yield namespace(obj), service

        self._client: Client = context.client
        self._by_key = by_key
        self._add = add
        self._index = context.informers.index(ENDPOINTSLICES, by_key)
        self._expectations: Expectations[Key] = Expectations()
        """Creations and deletions that the informer has yet to show."""
        self._written: dict[str, Object] = {}
        """By uid, what was written last, until the informer shows that or something newer."""
        self.informer = context.informers.of(ENDPOINTSLICES)
        self.informer.subscribe(self._on_slice)

    def satisfied(self, which: Key) -> bool:
        return self._expectations.satisfied(which, time.monotonic())

    def forget(self, which: Key) -> None:
        self._expectations.forget(which)

    def of(self, which: Key) -> list[Object]:
        return [self._written.get(uid(item), item) for item in self._index.get(which)]

    async def perform(self, which: Key, plan: Plan) -> None:
        doomed = [uid(item) for item in plan.delete]
        self._expectations.expect(which, time.monotonic(), creations=len(plan.create), deletions=doomed)
        to_make, to_go = len(plan.create), set(doomed)
        try:
            for item in plan.create:
                await self._client.create(ENDPOINTSLICES, item, which[0])
                to_make -= 1
            for item in plan.update:
                await self._update(item)
            for item in plan.delete:
                await self.delete(which, item)
                to_go.discard(uid(item))
        finally:  # what was not reached will never be seen
            self._expectations.created(which, to_make)
            for each in to_go:
                self._expectations.deleted(which, each)

    async def _update(self, item: Object) -> None:
        try:
            done = await self._client.update(ENDPOINTSLICES, item)
        except (Conflict, NotFound):
            self._written.pop(uid(item), None)
            raise
        live = self.informer.get(namespace(item), name(item))
        if live is not None and uid(live) == uid(done) and _version(live) < _version(done):
            self._written[uid(done)] = done

    async def delete(self, which: Key, item: Object) -> None:
        try:
            await self._client.delete(ENDPOINTSLICES, name(item), namespace(item), uid=uid(item))
        except NotFound:
            self._expectations.deleted(which, uid(item))

    def _on_slice(self, delta: Delta) -> None:
        obj = delta.new if isinstance(delta, Applied) else delta.old
        mine = self._written.get(uid(obj))
        if mine is not None and (isinstance(delta, Deleted) or _version(obj) >= _version(mine)):
            del self._written[uid(obj)]
        for which in self._by_key(obj):
            assert isinstance(which, tuple)
            if isinstance(delta, Applied) and delta.old is None:
                self._expectations.created(which)
            if isinstance(delta, Deleted):
                self._expectations.deleted(which, uid(obj))
            elif mine is not None and _version(obj) <= _version(mine):
                continue  # news of what was written here is no news
            self._add(which)


def _version(obj: Object) -> int:
    """Versions of one resource can be compared: https://kubernetes.io/docs/reference/using-api/api-concepts/."""
    return int(metadata(obj).get("resourceVersion") or 0)
