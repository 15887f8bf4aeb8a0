"""Where a message's body ends, found without changing a byte of it (RFC 9112, 6 and 7.1). Pure."""

from __future__ import annotations

import re

from .heads import BadMessage, Framing

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n")
MAX_LINE = 4096
"""Bytes of one chunk's size line with its extensions, and of one trailer line."""
MAX_TRAILERS = 16 * 1024


class Body:
    """Follows one body through the data as it comes."""

    __slots__ = ("_chunks", "_left", "done")

    def __init__(self, framing: Framing, *, collect: bool = False) -> None:
        """With `collect`, what the chunks carry is kept for `payload`."""
        self._chunks: Chunks | None = Chunks(collect) if framing == "chunked" else None
        self._left = framing if isinstance(framing, int) else -1
        self.done = framing == 0

    def feed(self, data: bytes) -> int:
        """How many bytes at the front of `data` belong to the body; raises BadMessage. Sets `done` at the end."""
        if self._chunks is not None:
            used = self._chunks.feed(data)
            self.done = self._chunks.done
            return used
        if self._left < 0:
            return len(data)
        used = min(self._left, len(data))
        self._left -= used
        self.done = not self._left
        return used

    def payload(self) -> bytes:
        """What the bytes fed since the last call carried, without the chunks' lines."""
        return b"" if self._chunks is None else self._chunks.take()


class Chunks:
    """A chunked body: checks every line of it, so that nobody behind reads other chunks than we do."""

    __slots__ = ("_carry", "_collect", "_left", "_payload", "_state", "_trailers", "done")

    def __init__(self, collect: bool = False) -> None:
        self._collect = collect
        self._state = "size"
        self._left = 0
        self._carry = b""
        """The beginning of a line whose end hasn't come yet; passed on already, kept to be checked as a whole."""
        self._trailers = 0
        self._payload: list[bytes] = []
        self.done = False

    def feed(self, data: bytes) -> int:
        at, size = 0, len(data)
        while at < size and not self.done:
            if self._state == "data":
                step = min(self._left, size - at)
                if self._collect:
                    self._payload.append(data[at : at + step])
                at += step
                self._left -= step
                if not self._left:
                    self._state = "end"
                continue
            cut = data.find(b"\n", at)
            end = size if cut < 0 else cut + 1
            line = self._carry + data[at:end]
            at = end
            if len(line) > MAX_LINE:
                raise BadMessage(400, "chunk line too long")
            if cut < 0:
                self._carry = line
                continue
            self._carry = b""
            self._line(line)
        return at

    def take(self) -> bytes:
        out = b"".join(self._payload)
        self._payload.clear()
        return out

    def _line(self, line: bytes) -> None:
        if self._state == "end":
            if line != b"\r\n":
                raise BadMessage(400, "chunk longer than its size")
            self._state = "size"
        elif self._state == "size":
            found = _SIZE_LINE.fullmatch(line)
            if found is None:
                raise BadMessage(400, "malformed chunk size")
            self._left = int(found[1], 16)
            self._state = "data" if self._left else "trailers"
        elif line == b"\r\n":
            self.done = True
        else:
            self._trailers += len(line)
            if not _TRAILER.fullmatch(line) or self._trailers > MAX_TRAILERS:
                raise BadMessage(400, "malformed trailer")
