"""The access log: a line a request, in ingress-nginx' format, written once per turn of the event loop."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

Write = Callable[[bytes], None]
_UNSAFE = re.compile(rb'[\x00-\x1f"\\\x7f-\xff]')


@dataclass(slots=True)
class Entry:
    """What is known of a request when it is over."""

    client: bytes
    line: bytes
    status: int
    sent: int
    referer: bytes
    user_agent: bytes
    received: int
    seconds: float
    backend: str
    upstream: str
    upstream_status: int
    request_id: bytes


def _quoted(value: bytes) -> bytes:
    """As nginx escapes: nothing in a request can end the field or the line."""
    if not value:
        return b"-"
    return _UNSAFE.sub(lambda found: b"\\x%02X" % found[0][0], value)


def line(entry: Entry, stamp: bytes) -> bytes:
    return (
        b'%b - - [%b] "%b" %d %d "%b" "%b" %d %.3f [%b] [] %b %d %.3f %b %b\n'
        % (
            entry.client, stamp, _quoted(entry.line), entry.status, entry.sent, _quoted(entry.referer),
            _quoted(entry.user_agent), entry.received, entry.seconds, entry.backend.encode(),
            entry.upstream.encode() or b"-", entry.sent, entry.seconds,
            b"%d" % entry.upstream_status if entry.upstream_status else b"-", _quoted(entry.request_id),
        )
    )  # fmt: skip


def unblocked(fd: int) -> int:
    """A descriptor for the same pipe or file whose writes never block; `fd` itself where that can't be had."""
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return fd


class AccessLog:
    """Collects lines and writes them together. A reader that is too slow loses lines rather than stop the proxy."""

    MAX_PENDING = 10_000
    RETRY = 0.1
    """Seconds until a full pipe is tried again."""

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._pending: list[bytes] = []
        self._scheduled = False
        self._second = -1
        self._stamp = b""

    def add(self, entry: Entry) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)
        if len(self._pending) < self.MAX_PENDING:
            self._pending.append(line(entry, self._now()))

    def flush(self) -> None:
        self._scheduled = False
        lines, self._pending = b"".join(self._pending), []
        while lines:
            try:
                lines = lines[os.write(self._fd, lines) :]
            except BlockingIOError:
                self._pending.append(lines)
                self._scheduled = True
                asyncio.get_running_loop().call_later(self.RETRY, self.flush)
                return
            except OSError:
                return

    def _now(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(second)).encode()
        return self._stamp
