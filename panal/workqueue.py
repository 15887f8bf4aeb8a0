"""A queue of keys for workers: each key waits once, is worked on by one worker at a time, and comes back with back-off.

As client-go's workqueue: a key added while it is being worked on waits until `done`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_BACKOFF_FIRST, _BACKOFF_MOST = 0.005, 60.0
"""Seconds: client-go's 5 ms doubling; capped at a minute, for a course's cluster should not wait 16 minutes."""


class WorkQueue(Generic[K]):
    """Invariants: a key is at most once in `_waiting`; `_dirty` holds what waits or must wait again after `done`;
    `_processing` holds what a worker has; a key in both is added again by `done`."""

    def __init__(self) -> None:
        self._waiting: deque[K] = deque()
        self._dirty: set[K] = set()
        self._processing: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._ready = asyncio.Event()

    def add(self, key: K) -> None:
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._waiting.append(key)
            self._ready.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Add the key in `seconds`, or when an earlier timer of the same key says."""
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if (timer := self._timers.get(key)) is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self.add, key)

    def add_rate_limited(self, key: K) -> None:
        """Add the key after its back-off: 5 ms, doubling with each call until `forget`."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, min(_BACKOFF_FIRST * 2 ** min(failures, 20), _BACKOFF_MOST))

    def forget(self, key: K) -> None:
        """The key succeeded: its back-off starts anew."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key; `done(key)` must follow."""
        while not self._waiting:
            self._ready.clear()
            await self._ready.wait()
        key = self._waiting.popleft()
        self._dirty.discard(key)
        self._processing.add(key)
        return key

    def done(self, key: K) -> None:
        self._processing.discard(key)
        if key in self._dirty:
            self._waiting.append(key)
            self._ready.set()

    def __len__(self) -> int:
        return len(self._waiting)

    def close(self) -> None:
        """Cancel what waits for its time."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
