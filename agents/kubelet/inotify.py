"""inotify(7), for the folder of static pods and for following logs: await the next change instead of polling."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from pathlib import Path
from types import TracebackType
from typing import Any

MODIFY, CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x8, 0x40, 0x80, 0x100, 0x200
FOLDER = CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC


@functools.cache
def _libc() -> Any:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


class Watch:
    """Changes of one path. Use as a context manager; raises OSError where the kernel refuses a watch."""

    def __init__(self, path: Path, mask: int) -> None:
        self._path = path
        self._mask = mask
        self._descriptor = -1
        self._changed = asyncio.Event()

    def __enter__(self) -> Watch:
        descriptor = _checked(_libc().inotify_init1(_FLAGS), "inotify_init1")
        try:
            _checked(_libc().inotify_add_watch(descriptor, os.fsencode(self._path), self._mask), str(self._path))
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._readable)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 1 << 16)
        self._changed.set()

    def wake(self) -> None:
        """Let `changed` return though nothing has changed."""
        self._changed.set()

    async def changed(self) -> None:
        """Return once something has changed since the last return (or since the watch began)."""
        await self._changed.wait()
        self._changed.clear()


def _checked(answer: int, what: str) -> int:
    import ctypes

    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return answer
