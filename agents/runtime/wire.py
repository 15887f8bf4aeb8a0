"""How a kubelet and its runtime speak: JSON in frames on a Unix socket, many requests at once, descriptors beside.

A frame is four bytes of length (big endian) and that many bytes of JSON. Requests are `{"id", "verb", "args"}`,
answers `{"id", "ok"}` or `{"id", "error": {"kind", "message"}}`, and after the verb `events` come frames `{"event"}`.
A frame that says `"fds": N` came with N descriptors in the same message (SCM_RIGHTS), for streams.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import orjson

MAX_FRAME = 16 * 1024 * 1024
"""Larger than any answer a node's runtime gives (110 pods); a longer one is a broken peer."""
_MAX_DESCRIPTORS = 16
_CHUNK = 256 * 1024

Message = dict[str, Any]


class Wire:
    """One end of a connection. `receive(message, descriptors)` owns the descriptors; `lost()` is called once."""

    def __init__(
        self,
        connection: socket.socket,
        receive: Callable[[Message, list[int]], None],
        lost: Callable[[], None],
    ) -> None:
        self._socket = connection
        self._receive, self._lost = receive, lost
        self._loop = asyncio.get_running_loop()
        self._incoming = bytearray()
        self._descriptors: deque[int] = deque()
        self._outgoing: deque[tuple[memoryview, Sequence[int]]] = deque()
        self.closed = False
        self._loop.add_reader(connection.fileno(), self._readable)

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send now or as soon as the peer reads; the descriptors are duplicated when they must wait."""
        if self.closed:
            return
        if descriptors:
            message = {**message, "fds": len(descriptors)}
        body = orjson.dumps(message)
        idle = not self._outgoing
        frame = memoryview(len(body).to_bytes(4, "big") + body)
        self._outgoing.append((frame, [os.dup(descriptor) for descriptor in descriptors]))
        if idle:
            self._writable()
            if self._outgoing and not self.closed:
                self._loop.add_writer(self._socket.fileno(), self._writable)

    def close(self) -> None:
        """Close without calling `lost`."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        for descriptor in [*self._descriptors, *(held for _, many in self._outgoing for held in many)]:
            os.close(descriptor)
        self._outgoing.clear()
        self._descriptors.clear()

    def _writable(self) -> None:
        while self._outgoing:
            frame, descriptors = self._outgoing[0]
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            try:
                sent = self._socket.sendmsg([frame], ancillary)
            except BlockingIOError:
                return
            except OSError:
                self._end()
                return
            for descriptor in descriptors:
                os.close(descriptor)
            if sent < len(frame):
                self._outgoing[0] = (frame[sent:], ())
                continue
            self._outgoing.popleft()
        self._loop.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        try:
            chunk, descriptors, _, _ = socket.recv_fds(self._socket, _CHUNK, _MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            chunk, descriptors = b"", []
        self._descriptors.extend(descriptors)
        if not chunk:
            self._end()
            return
        self._incoming += chunk
        try:
            self._frames()
        except (ValueError, KeyError, TypeError, IndexError):
            self._end()

    def _frames(self) -> None:
        while len(self._incoming) >= 4 and not self.closed:
            length = int.from_bytes(self._incoming[:4], "big")
            if length > MAX_FRAME:
                raise ValueError("frame too long")
            if len(self._incoming) < 4 + length:
                return
            message = orjson.loads(self._incoming[4 : 4 + length])
            del self._incoming[: 4 + length]
            self._receive(message, [self._descriptors.popleft() for _ in range(message.get("fds", 0))])

    def _end(self) -> None:
        if not self.closed:
            self.close()
            with contextlib.suppress(asyncio.CancelledError):
                self._lost()
