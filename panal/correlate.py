"""Which events are written, and how those that repeat are folded. Pure; `events` is the shell around it.

Core events fold as client-go's correlator does: the same again raises `count`; of those that differ in their message
only, the tenth within ten minutes and all after it become one, "(combined from similar events)"; who tells too much of
one object is not heard. Events of the newer kind (events.k8s.io) repeat as a `series`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Object = dict[str, Any]

REMEMBERED = 1024
"""Events whose repetition is recognised, and objects whose events are counted; the oldest is forgotten first."""
SIMILAR, WITHIN = 10, 600.0
"""So many messages of one reason about one object, each within so many seconds of the one before, are too many."""
BURST, REFILL = 25, 300.0
"""Events about one object at once, and the seconds after which there may be one more."""
SERIES = 360.0
"""Seconds after which a series has ended: the same event begins a new one."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Recent(Generic[K, V]):
    """What was used last, up to a number."""

    def __init__(self) -> None:
        self._items: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        if key in self._items:
            self._items.move_to_end(key)
        return self._items.get(key)

    def put(self, key: K, value: V) -> None:
        self._items[key] = value
        self._items.move_to_end(key)
        if len(self._items) > REMEMBERED:
            self._items.popitem(last=False)

    def pop(self, key: K) -> None:
        self._items.pop(key, None)


@dataclass(frozen=True)
class Create:
    event: Object
    key: Hashable


@dataclass(frozen=True)
class Patch:
    name: str
    namespace: str
    patch: Object
    key: Hashable


@dataclass
class _Written:
    name: str
    count: int
    at: float


@dataclass
class _Similar:
    messages: set[str] = field(default_factory=set)
    at: float = 0.0


@dataclass
class _Bucket:
    left: float
    at: float


class Correlator:
    """`now` is any clock's seconds. What is answered is to be written; `lost` says that what it patches is gone."""

    def __init__(self) -> None:
        self._written: _Recent[Hashable, _Written] = _Recent()
        self._similar: _Recent[Hashable, _Similar] = _Recent()
        self._buckets: _Recent[Hashable, _Bucket] = _Recent()

    def core(self, event: Object, now: float) -> Create | Patch | None:
        """An event with `count` 1 and both timestamps; None for one too many."""
        target, source = _frozen(event["involvedObject"]), _frozen(event["source"])
        if not self._heard((source, target), now):
            return None
        group = (source, target, event["type"], event["reason"], event["reportingComponent"])
        message = event["message"]
        key: tuple[Hashable, ...] = (*group, message, event["involvedObject"].get("fieldPath"))
        if self._too_many(group, message, now):
            message, key = f"(combined from similar events): {message}", (*group, None)
        known = self._written.get(key)
        if known is None:
            self._written.put(key, _Written(event["metadata"]["name"], 1, now))
            return Create({**event, "message": message}, key)
        known.count += 1
        patch = {"count": known.count, "lastTimestamp": event["lastTimestamp"], "message": message}
        return Patch(known.name, event["metadata"]["namespace"], patch, key)

    def series(self, event: Object, now: float) -> Create | Patch | None:
        """An event with `eventTime`. The same is what is said with the same reason of the same state of an object."""
        parts = (event["type"], event["reason"], event.get("action"), event["reportingComponent"])
        key = (*parts, event["reportingInstance"], tuple(sorted(event["involvedObject"].items())))
        known = self._written.get(key)
        if known is None or now - known.at > SERIES:
            self._written.put(key, _Written(event["metadata"]["name"], 1, now))
            return Create(event, key)
        known.count, known.at = known.count + 1, now
        patch = {"series": {"count": known.count, "lastObservedTime": event["eventTime"]}}
        return Patch(known.name, event["metadata"]["namespace"], patch, key)

    def lost(self, key: Hashable) -> None:
        self._written.pop(key)

    def _heard(self, about: Hashable, now: float) -> bool:
        bucket = self._buckets.get(about)
        if bucket is None:
            bucket = _Bucket(BURST, now)
            self._buckets.put(about, bucket)
        bucket.left, bucket.at = min(float(BURST), bucket.left + (now - bucket.at) / REFILL), now
        if bucket.left < 1:
            return False
        bucket.left -= 1
        return True

    def _too_many(self, group: Hashable, message: str, now: float) -> bool:
        found = self._similar.get(group)
        if found is None or now - found.at > WITHIN:
            found = _Similar()
            self._similar.put(group, found)
        found.messages.add(message)
        found.at = now
        if len(found.messages) < SIMILAR:
            return False
        found.messages.pop()
        return True


def _frozen(fields: Object) -> Hashable:
    """Without the resourceVersion: another state of an object is the same object."""
    return tuple(sorted((key, value) for key, value in fields.items() if key not in ("resourceVersion", "fieldPath")))
