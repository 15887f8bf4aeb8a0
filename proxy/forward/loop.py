"""An epoll loop in a thread of its own: what moves bytes, undisturbed by the API client's event loop.

Everything that touches it runs on its thread; others hand in calls, which an eventfd announces. It sleeps until a
descriptor, a call or a timer needs it.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
_log = logging.getLogger(__name__)

IN, OUT, ERROR, HANGUP = select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR, select.EPOLLHUP
_EVENTS = 256
"""Handled per wake-up at most; the rest is next."""


class Timer:
    """A call at a time; `cancel()` it when it is no longer wanted."""

    __slots__ = ("call", "when")

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Loop:
    """Level-triggered epoll: a handler is called with the events of its descriptor as long as they last."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
        self._calls: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None
        self._stopping = False
        self.now = time.monotonic()
        """Seconds; refreshed at each wake-up."""
        self.add(self._wake, IN, self._run_calls)

    def start(self, name: str) -> None:
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Run it on the loop's thread, unless the future is cancelled before. May be called from any thread."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        self._calls.append(run)
        os.eventfd_write(self._wake, 1)
        return future

    def stop(self) -> None:
        """End the thread and close what belongs to the loop. From another thread."""
        if self._thread is not None:
            self.call(self._stop)
            self._thread.join()
            self._thread = None
        self._epoll.close()
        os.close(self._wake)

    def add(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def replace(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        self._epoll.modify(fd, events)
        self._handlers[fd] = handler

    def modify(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Before the descriptor is closed. Removing what was not added is no error."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer(self.now + seconds, call)
        heapq.heappush(self._timers, (timer.when, next(self._count), timer))
        return timer

    def _run(self) -> None:
        poll, handlers = self._epoll.poll, self._handlers
        while not self._stopping:
            ready = poll(self._timeout(), _EVENTS)
            self.now = time.monotonic()
            for fd, events in ready:
                handler = handlers.get(fd)
                if handler is not None:
                    self._guarded(handler, events)
            if self._timers:
                self._run_timers()

    def _timeout(self) -> float | None:
        timers = self._timers
        while timers and timers[0][2].call is None:
            heapq.heappop(timers)
        return max(0.0, timers[0][0] - time.monotonic()) if timers else None

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self.now:
            timer = heapq.heappop(self._timers)[2]
            if timer.call is not None:
                self._guarded(timer.call)

    def _run_calls(self, _: int) -> None:
        os.eventfd_read(self._wake)
        while self._calls:
            self._guarded(self._calls.popleft())

    def _guarded(self, function: Callable[..., Any], *arguments: Any) -> None:
        try:
            function(*arguments)
        except Exception:
            _log.exception("forwarding failed")

    def _stop(self) -> None:
        self._stopping = True
