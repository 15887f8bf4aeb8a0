"""A command's input and outputs over pipes, bounded: what `exec` without a terminal needs."""

from __future__ import annotations

import asyncio
import contextlib
import os

LIMIT = 64 * 1024
"""Bytes kept of each output; more is read and thrown away, so that the command doesn't wait."""


class Capture:
    """Reads a pipe to its end. `write_end` is for the child and closed by `started`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_end, False)
        self._kept = bytearray()
        self.ended = asyncio.Event()
        self._loop.add_reader(self._read_end, self._read)

    def started(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def _read(self) -> None:
        try:
            chunk = os.read(self._read_end, LIMIT)
        except BlockingIOError:
            return
        self._kept += chunk[: LIMIT - len(self._kept)]
        if not chunk:
            self._loop.remove_reader(self._read_end)
            self.ended.set()

    def close(self) -> bytes:
        """What was kept."""
        self.started()
        self._loop.remove_reader(self._read_end)
        os.close(self._read_end)
        return bytes(self._kept)


class Feed:
    """Writes bytes into a pipe as fast as the child reads; `read_end` is for the child."""

    def __init__(self, content: bytes) -> None:
        self._loop = asyncio.get_running_loop()
        self.read_end, self._write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._write_end, False)
        self._rest = memoryview(content)

    def started(self) -> None:
        os.close(self.read_end)
        self.read_end = -1
        self._loop.add_writer(self._write_end, self._write)

    def _write(self) -> None:
        try:
            self._rest = self._rest[os.write(self._write_end, self._rest) :] if self._rest else self._rest
        except BlockingIOError:
            return
        except OSError:
            self._rest = memoryview(b"")
        if not self._rest:
            self.close()

    def close(self) -> None:
        if self.read_end >= 0:
            os.close(self.read_end)
            self.read_end = -1
        if self._write_end >= 0:
            with contextlib.suppress(OSError):
                self._loop.remove_writer(self._write_end)
            os.close(self._write_end)
            self._write_end = -1
