"""Reading container logs in the CRI's format: `TIME STREAM TAGS TEXT`, tags F (full) or P (partial). Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .podspec import parse_time


@dataclass(frozen=True)
class Line:
    """One record of a log. `time` is the text as written; a partial record has no line feed of its own."""

    time: str
    stream: str
    text: bytes

    @property
    def seconds(self) -> float:
        return parse_time(self.time)


@dataclass(frozen=True)
class Wanted:
    """Which lines, and how they are printed: the query of `kubectl logs`."""

    tail: int | None = None
    since: float | None = None
    """Seconds since the epoch."""
    timestamps: bool = False
    limit: int | None = None
    """Bytes."""
    streams: frozenset[str] = frozenset({"stdout", "stderr"})


def parse(record: bytes) -> Line | None:
    """A record without its line feed; None when it is none."""
    time, _, rest = record.partition(b" ")
    stream, _, rest = rest.partition(b" ")
    tags, space, text = rest.partition(b" ")
    if not space or stream not in (b"stdout", b"stderr"):
        return None
    partial = b"P" in tags.split(b":")
    return Line(time.decode("ascii", "replace"), stream.decode(), text if partial else text + b"\n")


def shown(line: Line, wanted: Wanted) -> bytes | None:
    """The line as it is printed; None when it is not wanted."""
    if line.stream not in wanted.streams:
        return None
    if wanted.since is not None:
        try:
            if line.seconds < wanted.since:
                return None
        except ValueError:
            return None
    return line.time.encode() + b" " + line.text if wanted.timestamps else line.text


def lines(data: bytes, wanted: Wanted) -> list[bytes]:
    """The wanted lines of a whole log, the last `tail` of them. Partial records count with the line they begin."""
    found: deque[bytes] | list[bytes] = [] if wanted.tail is None else deque(maxlen=max(wanted.tail, 0))
    open_line = False
    for piece in _shown(data, wanted):
        if open_line and found and not wanted.timestamps:
            found[-1] += piece
        else:
            found.append(piece)
        open_line = not piece.endswith(b"\n")
    return list(found)


def _shown(data: bytes, wanted: Wanted) -> Iterator[bytes]:
    for record in data.split(b"\n"):
        if record and (line := parse(record)) is not None and (piece := shown(line, wanted)) is not None:
            yield piece


def limited(pieces: Iterable[bytes], limit: int | None) -> Iterator[bytes]:
    """At most `limit` bytes."""
    for piece in pieces:
        if limit is None:
            yield piece
            continue
        if limit <= 0:
            return
        yield piece[:limit]
        limit -= len(piece)


def end_of(data: bytes, lines_: int, bytes_: int) -> str:
    """The end of a log for a termination message: at most so many lines and bytes."""
    kept = b"".join(lines(data, Wanted(tail=lines_)))
    return kept[-bytes_:].decode(errors="replace")
