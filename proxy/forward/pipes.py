"""Pipes for os.splice, reused. A connection holds one only while bytes wait in it for a slow reader."""

from __future__ import annotations

import os
from typing import NamedTuple

_SPARE = 32
"""Empty pipes kept."""


class Pipe(NamedTuple):
    reader: int
    writer: int


class Pipes:
    def __init__(self) -> None:
        self._spare: list[Pipe] = []

    def take(self) -> Pipe:
        """An empty pipe. Raises OSError (EMFILE)."""
        return self._spare.pop() if self._spare else Pipe(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))

    def give_back(self, pipe: Pipe) -> None:
        """Only an empty one: what is left in it would reach a stranger."""
        if len(self._spare) < _SPARE:
            self._spare.append(pipe)
        else:
            self.discard(pipe)

    def discard(self, pipe: Pipe) -> None:
        os.close(pipe.reader)
        os.close(pipe.writer)

    def close(self) -> None:
        while self._spare:
            self.discard(self._spare.pop())
