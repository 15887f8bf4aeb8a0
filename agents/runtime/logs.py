"""From a container's output to its log file, in the CRI's format: `2026-11-23T18:00:00.123456789Z stdout F line`.

Outputs are FIFOs that the container holds open for reading too, so it neither fails nor notices when the runtime dies;
it waits when 64 KiB are unread, and the next runtime reads on. On its way a line is in the FIFO, in the spool or in the
log (`spool`), whenever the runtime is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from .spool import CHUNK, Mark, Spool
from .tap import Tap

MAX_LINE = 16 * 1024
"""A longer line is written in parts tagged P (containerd's max_container_log_line_size)."""
MAX_FILE = 10 * 1024 * 1024
"""At this size the file becomes FILE.1 and a new one begins (kubelet's containerLogMaxSize)."""
_DRAIN = 4 * 1024 * 1024
"""At most this much is read when the process has ended: more than two full pipes, if something of it lives on."""


class Lines:
    """Cuts a stream into log lines; pure. Holds at most MAX_LINE bytes."""

    def __init__(self, stream: str) -> None:
        self._stream = stream.encode()
        self._rest = b""

    def feed(self, chunk: bytes, stamp: bytes) -> Iterator[bytes]:
        """The lines that `chunk` completes, read at the time `stamp`."""
        *complete, rest = (self._rest + chunk).split(b"\n")
        for line in complete:
            while len(line) > MAX_LINE:
                yield self._line(stamp, b"P", line[:MAX_LINE])
                line = line[MAX_LINE:]
            yield self._line(stamp, b"F", line)
        while len(rest) > MAX_LINE:
            yield self._line(stamp, b"P", rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._rest = rest

    def finish(self, stamp: bytes) -> Iterator[bytes]:
        """What was written without a line's end."""
        if self._rest:
            yield self._line(stamp, b"P", self._rest)
            self._rest = b""

    @property
    def waiting(self) -> int:
        """Bytes kept of a line that has not ended."""
        return len(self._rest)

    def _line(self, stamp: bytes, tag: bytes, text: bytes) -> bytes:
        return b"%b %b %b %b\n" % (stamp, self._stream, tag, text)


def timestamp(nanoseconds: int) -> bytes:
    """RFC 3339 with nine digits, in UTC."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode() + b".%09dZ" % rest


class LogFile:
    """The file both outputs are written to. A disk that is full costs lines, not the container."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()

    def write(self, lines: Iterator[bytes]) -> None:
        text = b"".join(lines)
        if not text:
            return
        if self._size + len(text) > MAX_FILE and self._size:
            self._rotate()
        with contextlib.suppress(OSError):
            self._size += os.write(self._descriptor, text)

    def close(self) -> None:
        os.close(self._descriptor)

    @property
    def mark(self) -> Mark:
        return Mark(self._inode, self._size)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o640)
        found = os.fstat(self._descriptor)
        self._inode, self._size = found.st_ino, found.st_size

    def _rotate(self) -> None:
        with contextlib.suppress(OSError):
            os.replace(self._path, f"{self._path}.1")
            os.close(self._descriptor)
            self._open()


class Pump:
    """Carries one container's outputs to its log until `finish` or `leave`."""

    def __init__(self, fifos: dict[str, Path], log: Path) -> None:
        """`fifos` maps `stdout` and `stderr`; they exist. Must be called on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._log = LogFile(log)
        self._open: dict[int, Lines] = {}
        self._spools: dict[int, Spool] = {}
        self._taps: dict[int, list[Tap]] = {}
        self._of_stream: dict[str, int] = {}
        self.drained = asyncio.Event()
        """Nobody holds the outputs' other ends any more, and all has been read."""
        for stream, path in fifos.items():
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._open[descriptor] = Lines(stream)
            self._of_stream[stream] = descriptor
            self._spools[descriptor] = Spool(path.with_name(f"{path.name}.spool"))
            self._recover(descriptor)
        self._watched = False

    def _recover(self, descriptor: int) -> None:
        """Go on from what another runtime has read."""
        left, told = self._spools[descriptor].recover(self._log.mark)
        if left:
            lines = list(self._open[descriptor].feed(left, timestamp(time.time_ns())))
            self._log.write(iter(() if told else lines))
            self._spools[descriptor].logged(self._log.mark, self._open[descriptor].waiting)

    def watch(self) -> None:
        """Begin to read. Before the process holds its ends there is only the end of file to read."""
        self._watched = True
        for descriptor in self._open:
            self._loop.add_reader(descriptor, self._read, descriptor)

    def tap(self, stream: str, write_end: int) -> Tap:
        """Copy what is read from now on to a pipe, which is the tap's; while the pipe is full, nothing is read."""
        source = self._of_stream[stream]
        tap = Tap(write_end, lambda: self._resume(source))
        if source in self._open:
            self._taps.setdefault(source, []).append(tap)
        else:
            tap.end()
        return tap

    def _resume(self, source: int) -> None:
        taps = self._taps[source] = [tap for tap in self._taps.get(source, ()) if not tap.closed]
        if source in self._open and self._watched and not any(tap.blocked for tap in taps):
            self._loop.add_reader(source, self._read, source)

    def finish(self) -> None:
        """Write what the process left unread, and close."""
        for descriptor in list(self._open):
            limit = _DRAIN
            while limit > 0 and descriptor in self._open:
                limit -= CHUNK
                if not self._read(descriptor):
                    break
            if descriptor in self._open:
                self._end(descriptor)
        self._log.close()

    def leave(self) -> None:
        """Close; the process lives on, and another pump will carry what it writes."""
        for descriptor in list(self._open):
            self._close(descriptor)
        self._log.close()

    def _read(self, descriptor: int) -> bool:
        """Whether there was something to read."""
        try:
            chunk = self._spools[descriptor].take(descriptor, self._log.mark)
        except BlockingIOError:
            return False
        except OSError:
            chunk = b""
        if not chunk:
            self._end(descriptor)
            return False
        lines = self._open[descriptor]
        self._log.write(lines.feed(chunk, timestamp(time.time_ns())))
        self._spools[descriptor].logged(self._log.mark, lines.waiting)
        for tap in self._taps.get(descriptor, ()):
            tap.feed(chunk)
        if any(tap.blocked for tap in self._taps.get(descriptor, ())):
            self._loop.remove_reader(descriptor)
        return True

    def _end(self, descriptor: int) -> None:
        self._log.write(self._open[descriptor].finish(timestamp(time.time_ns())))
        self._spools[descriptor].logged(self._log.mark, 0)
        self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        if self._watched:
            self._loop.remove_reader(descriptor)
        del self._open[descriptor]
        self._spools.pop(descriptor).close()
        os.close(descriptor)
        for tap in self._taps.pop(descriptor, []):
            tap.end()
        if not self._open:
            self.drained.set()
