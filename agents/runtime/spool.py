"""What has been read of an output and is not in the log yet, kept so that a runtime may die at any moment.

The kernel moves bytes from the pipe into this file (splice), so they are always in one of the two. Before them stand
the log's state as of the last write and where in the file the bytes begin that it lacks: a restarted runtime compares
the log with it and knows whether the last write has happened. Nothing is lost and nothing is told twice.
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path
from typing import NamedTuple

CHUNK = 64 * 1024
ROOM = 256 * 1024
"""At this size the file is emptied as soon as all of it is in the log."""
_HEADER = struct.Struct("<QQQ")
_FLAGS = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
_PRIVATE = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


class Mark(NamedTuple):
    """A log file at one moment."""

    inode: int
    size: int

    def before(self, now: Mark) -> bool:
        """Whether something was written to the log between this moment and `now`; it may have been turned over."""
        return now.size > (self.size if now.inode == self.inode else 0)


class Spool:
    """One output's. The file is made when there is something to keep."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._end = self._start = _HEADER.size
        """Where the next bytes go; where those begin that the log lacks."""
        self._mark: Mark | None = None
        self._given_up = False

    def recover(self, log: Mark) -> tuple[bytes, bool]:
        """What an earlier runtime left, and whether its whole lines are in the log already."""
        try:
            self._descriptor = os.open(self._path, _PRIVATE)
        except OSError:
            return b"", False
        self._end = max(os.fstat(self._descriptor).st_size, _HEADER.size)
        header = os.pread(self._descriptor, _HEADER.size, 0)
        if len(header) < _HEADER.size:
            return b"", False
        inode, size, start = _HEADER.unpack(header)
        self._start, self._mark = min(max(start, _HEADER.size), self._end), Mark(inode, size)
        return os.pread(self._descriptor, self._end - self._start, self._start), self._mark.before(log)

    def take(self, pipe: int, log: Mark) -> bytes:
        """The next bytes of the pipe; none at its end. Raises BlockingIOError when there are none yet."""
        if self._given_up:
            return os.read(pipe, CHUNK)
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, _PRIVATE | os.O_CREAT, 0o600)
            if self._mark != log:
                self._note(log)
            moved = os.splice(pipe, self._descriptor, CHUNK, offset_dst=self._end, flags=_FLAGS)
        except BlockingIOError:
            raise
        except OSError:  # a full disk, or a file system that can't: the log matters more than this file
            self._give_up()
            return os.read(pipe, CHUNK)
        chunk = os.pread(self._descriptor, moved, self._end) if moved else b""
        self._end += moved
        return chunk

    def logged(self, log: Mark, rest: int) -> None:
        """All but the last `rest` bytes are in the log."""
        if self._descriptor < 0:
            return
        self._start = self._end - rest
        try:
            if not rest and self._end > ROOM:
                os.ftruncate(self._descriptor, _HEADER.size)
                self._end = self._start = _HEADER.size
            self._note(log)
        except OSError:
            self._give_up()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _note(self, log: Mark) -> None:
        os.pwrite(self._descriptor, _HEADER.pack(*log, self._start), 0)
        self._mark = log

    def _give_up(self) -> None:
        self._given_up = True
        self.close()
        with contextlib.suppress(OSError):
            self._path.unlink()
