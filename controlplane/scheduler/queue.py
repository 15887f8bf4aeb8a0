"""Pods that wait for a node: active by priority, backing off by time, unschedulable until something changes. Pure.

A pod that no node took waits in `unschedulable` until an event that may help it; then it is tried again, after its
back-off if others wait, at once if nobody does. What an event costs does not grow with the pods it cannot help: those
refused by the same filters wait together.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .plugins import FILTERS
from .snapshot import PodInfo
from .steps import by_priority

BACKOFF_FIRST, BACKOFF_MOST = 1.0, 10.0
"""Seconds, doubling with each attempt, as kube-scheduler's podInitialBackoffSeconds and podMaxBackoffSeconds."""
LEFTOVER = 300.0
"""Seconds after which an unschedulable pod is tried again even if no event spoke for it."""

WAKES = {item.name: item.wakes for item in FILTERS}


@dataclass
class Waiting:
    pod: PodInfo
    since: float
    """When it was first seen: among equal priorities, the oldest goes first."""
    attempts: int = 0
    tried: float = 0.0
    blamed: frozenset[str] = frozenset()
    """Filters that refused it last time."""
    turn: int = -1
    """Its entry among the active; others of it are stale."""
    failed: bool = False
    """Its last attempt ended in an error rather than a refusal: its back-off is never cut short."""

    def due(self, first: float = BACKOFF_FIRST, most: float = BACKOFF_MOST) -> float:
        growth = float(2 ** min(max(self.attempts - 1, 0), 10))
        return self.tried + min(first * growth, most)


@dataclass
class Queue:
    """Invariant: a pod is in at most one of the three; `_where` says in which. Heaps may hold stale entries."""

    first: float = BACKOFF_FIRST
    most: float = BACKOFF_MOST
    order: Callable[[PodInfo, float], tuple[Any, ...]] = by_priority
    wakes: Mapping[str, frozenset[str]] = field(default_factory=lambda: WAKES)
    """Filter -> events that may change its mind."""
    _items: dict[str, Waiting] = field(default_factory=dict)
    _where: dict[str, str] = field(default_factory=dict)
    _active: list[tuple[Any, ...]] = field(default_factory=list)
    _backoff: list[tuple[float, int, str]] = field(default_factory=list)
    _asleep: dict[frozenset[str], dict[str, Waiting]] = field(default_factory=dict)
    """The unschedulable by the filters that refused them, each group in the order they were tried."""
    _sequence: Iterator[int] = field(default_factory=itertools.count)

    def add(self, pod: PodInfo, now: float) -> None:
        """A new pod, or one whose labels, tolerations or the like changed: tried as soon as possible."""
        item = self._items.get(pod.uid)
        if item is None:
            item = self._items[pod.uid] = Waiting(pod, now)
        before, item.pod = item.pod, pod
        if self._where.get(pod.uid) != "active":
            self._rouse(item)
            self._activate(item)
        elif self.order(before, item.since) != self.order(pod, item.since):
            self._activate(item)

    def update(self, pod: PodInfo) -> None:
        """The pod changed in a way that does not matter for where it fits."""
        if (item := self._items.get(pod.uid)) is not None:
            item.pod = pod

    def remove(self, uid: str) -> None:
        if (item := self._items.pop(uid, None)) is not None:
            self._rouse(item)
        self._where.pop(uid, None)

    def __contains__(self, uid: str) -> bool:
        return uid in self._items

    def pop(self, now: float) -> Waiting | None:
        """The next pod to try, if any. It leaves the queue; `refused` or `failed` bring it back."""
        self._ripen(now)
        item = self._pop_active() or self._pop_early()
        if item is None:
            return None
        self._where[item.pod.uid] = "popped"
        item.attempts += 1
        item.tried = now
        return item

    def refused(self, item: Waiting, blamed: Iterable[str], now: float) -> None:
        """No node took it."""
        if self._items.get(item.pod.uid) is item:
            item.blamed, item.failed, item.tried = frozenset(blamed), False, now
            self._where[item.pod.uid] = "unschedulable"
            self._asleep.setdefault(item.blamed, {})[item.pod.uid] = item

    def failed(self, item: Waiting, now: float) -> None:
        """An error: tried again after its back-off."""
        if self._items.get(item.pod.uid) is item:
            item.failed, item.tried = True, now
            self._back_off(item)

    def retry(self, item: Waiting, now: float) -> None:
        """What was to help a refused pod has failed: it does not wait for an event, but its back-off only."""
        if self._items.get(item.pod.uid) is item and self._where.get(item.pod.uid) == "unschedulable":
            self._rouse(item)
            self.failed(item, now)

    def wake(self, event: str, now: float, hint: Callable[[Waiting], bool] | None = None) -> None:
        """Something changed: those refused for what the event may have cured, as far as `hint` agrees, are tried
        again.
        """
        for blamed in [blamed for blamed in self._asleep if self._helps(blamed, event)]:
            for item in list(self._asleep[blamed].values()):
                if hint is not None and not hint(item):
                    continue
                self._rouse(item)
                if item.due(self.first, self.most) <= now:
                    self._activate(item)
                else:
                    self._back_off(item)

    def next_due(self, now: float) -> float | None:
        """Seconds until `pop` could find a pod that it does not find now."""
        self._forget_stale()
        times = [self._backoff[0][0]] if self._backoff else []
        times += [next(iter(group.values())).tried + LEFTOVER for group in self._asleep.values()]
        return max(0.0, min(times) - now) if times else None

    def __len__(self) -> int:
        return len(self._items)

    def _rouse(self, item: Waiting) -> None:
        """Out of the unschedulable, if it is there."""
        if (group := self._asleep.get(item.blamed)) is not None and group.pop(item.pod.uid, None) is not None:
            if not group:
                del self._asleep[item.blamed]

    def _forget_stale(self) -> None:
        while self._backoff and not self._backs_off(self._backoff[0]):
            heapq.heappop(self._backoff)

    def _backs_off(self, entry: tuple[float, int, str]) -> bool:
        due, _, uid = entry
        item = self._items.get(uid)
        return item is not None and self._where.get(uid) == "backoff" and item.due(self.first, self.most) == due

    def _activate(self, item: Waiting) -> None:
        self._where[item.pod.uid] = "active"
        item.turn = next(self._sequence)
        heapq.heappush(self._active, (*self.order(item.pod, item.since), item.turn, item.pod.uid))

    def _back_off(self, item: Waiting) -> None:
        self._where[item.pod.uid] = "backoff"
        heapq.heappush(self._backoff, (item.due(self.first, self.most), next(self._sequence), item.pod.uid))

    def _ripen(self, now: float) -> None:
        while self._backoff and self._backoff[0][0] <= now:
            entry = heapq.heappop(self._backoff)
            if self._backs_off(entry):
                self._activate(self._items[entry[2]])
        for group in list(self._asleep.values()):
            while group and (item := next(iter(group.values()))).tried + LEFTOVER <= now:
                self._rouse(item)
                self._activate(item)

    def _pop_active(self) -> Waiting | None:
        while self._active:
            *_, turn, uid = heapq.heappop(self._active)
            if self._where.get(uid) == "active" and self._items[uid].turn == turn:
                return self._items[uid]
        return None

    def _pop_early(self) -> Waiting | None:
        """Nobody else waits: a pod that was merely refused need not sit out its back-off."""
        for index, entry in enumerate(self._backoff):
            item = self._items.get(entry[2])
            if item is not None and not item.failed and self._backs_off(entry):
                self._backoff[index] = self._backoff[-1]
                self._backoff.pop()
                heapq.heapify(self._backoff)
                return item
        return None

    def _helps(self, blamed: frozenset[str], event: str) -> bool:
        return not blamed or any(event in self.wakes.get(name, ()) for name in blamed)
