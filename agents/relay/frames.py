"""What two agents say to each other on a connection: messages, each with a length and a kind. Pure.

4 bytes  length of what follows, big-endian
1 byte   kind: FRAME, PING, PONG or BYE
rest     FRAME: a virtio-net header (10 bytes: a packet may be larger than the wire's, see tap.py), then the frame;
         BYE: why, as text
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

FRAME, PING, PONG, BYE = 0, 1, 2, 3
LONGEST = (1 << 16) + 256
"""Bytes of a message at most: the largest packet that Linux hands over whole, and its headers."""
_HEAD = struct.Struct(">IB")


def message(kind: int, *parts: bytes | memoryview) -> bytes:
    """One message."""
    length = 1 + sum(map(len, parts))
    return b"".join((_HEAD.pack(length, kind), *parts))


class Messages:
    """A stream's messages, as they become complete. `feed` raises ValueError for what is none."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, memoryview]]:
        """(kind, content); the contents are views of one buffer."""
        if self._rest:
            data = self._rest + data
        view, start, end = memoryview(data), 0, len(data)
        while end - start >= _HEAD.size:
            length, kind = _HEAD.unpack_from(view, start)
            if not 1 <= length <= LONGEST:
                raise ValueError(f"a message of {length} bytes")
            stop = start + 4 + length
            if stop > end:
                break
            yield kind, view[start + _HEAD.size : stop]
            start = stop
        self._rest = bytes(view[start:])
