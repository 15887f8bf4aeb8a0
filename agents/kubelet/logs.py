"""Reading a container's log file from disk, and following it until the container ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path

from . import crilog, inotify
from .crilog import Wanted

CHUNK = 256 * 1024
_BLOCK = 64 * 1024


class _Reader:
    """A file that is read to its present end, record by record, again and again; a rotated file is opened anew."""

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self._path = path
        self._wanted = wanted
        self._rest = b""
        self._left = wanted.limit
        self._stream = path.open("rb")

    @property
    def exhausted(self) -> bool:
        """Whether as many bytes as were asked for have been given."""
        return self._left is not None and self._left <= 0

    def close(self) -> None:
        self._stream.close()

    def skip_to_tail(self) -> list[bytes]:
        """The last lines that are wanted; reading goes on after them."""
        tail = self._wanted.tail or 0
        size = self._stream.seek(0, 2)
        block = _BLOCK
        while True:
            start = max(0, size - block)
            self._stream.seek(start)
            data = self._stream.read(size - start)
            whole = data if start == 0 else data.partition(b"\n")[2]
            complete, _, self._rest = whole.rpartition(b"\n")
            if start == 0 or len(crilog.lines(complete, replace(self._wanted, tail=tail + 1))) > tail:
                return self._within_limit(crilog.lines(complete, self._wanted))
            block *= 4

    def read(self) -> bytes | None:
        """The next wanted bytes; None at the present end."""
        while not self.exhausted and (data := self._stream.read(CHUNK)):
            complete, _, self._rest = (self._rest + data).rpartition(b"\n")
            if pieces := self._within_limit(crilog.lines(complete, replace(self._wanted, tail=None))):
                return b"".join(pieces)
        return None

    def _within_limit(self, pieces: list[bytes]) -> list[bytes]:
        given = list(crilog.limited(pieces, self._left))
        if self._left is not None:
            self._left -= sum(map(len, given))
        return given

    def reopen(self) -> bool:
        """Whether the path names another file now, which is read from its beginning."""
        try:
            stream = self._path.open("rb")
        except OSError:
            return False
        if _identity(stream.fileno()) == _identity(self._stream.fileno()):
            stream.close()
            return False
        self._stream.close()
        self._stream = stream
        return True


def _identity(descriptor: int) -> tuple[int, int]:
    import os

    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


async def read(path: Path, wanted: Wanted) -> AsyncGenerator[bytes, None]:
    """The wanted part of a log as it is now. Raises OSError."""
    reader = _Reader(path, wanted)
    try:
        if wanted.tail is not None:
            yield b"".join(reader.skip_to_tail())
        while wanted.tail is None and (data := reader.read()) is not None:
            yield data
            await asyncio.sleep(0)
    finally:
        reader.close()


async def follow(
    path: Path, wanted: Wanted, running: Callable[[], bool], watching: Callable[[inotify.Watch], None]
) -> AsyncGenerator[bytes, None]:
    """The wanted part, then what is added until the container has ended (`running`).

    `watching` gets the watch, whose `wake` is to be called when the container may have ended. Raises OSError.
    """
    with inotify.Watch(path.parent, inotify.MODIFY | inotify.CREATE | inotify.MOVED_TO) as watch:
        watching(watch)
        reader = _Reader(path, wanted)
        try:
            if wanted.tail is not None:
                yield b"".join(reader.skip_to_tail())
            while not reader.exhausted:
                ended = not running()
                while (data := reader.read()) is not None:
                    yield data
                if reader.reopen():
                    continue
                if ended:
                    return
                await watch.changed()
        finally:
            reader.close()
