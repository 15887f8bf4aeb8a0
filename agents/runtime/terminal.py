"""The process beside a container that has a terminal: it carries bytes between the terminal and the container's FIFOs.

It holds the terminal's other side, so the container keeps it when the runtime is killed. It ends when nobody has the
terminal open any more. stdin is the container's input, stdout its output; descriptor 3 is the terminal, 4 tells sizes.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Sequence

from . import terminals

MASTER, CONTROL = 3, 4
_CHUNK = 32 * 1024


def main(argv: Sequence[str]) -> int:
    for descriptor in (0, 1, MASTER, CONTROL):
        os.set_blocking(descriptor, False)
    Relay().run()
    return 0


class Relay:
    """At most one chunk waits in each direction; while it does, no more is read there."""

    def __init__(self) -> None:
        self._typed = b""
        self._shown = b""
        self._input_open = True
        self._output_open = True

    def run(self) -> None:
        while self._output_open or self._shown:
            poll = select.poll()
            for descriptor, events in self._interests().items():
                poll.register(descriptor, events)
            for descriptor, _ in poll.poll():
                self._serve(descriptor)

    def _interests(self) -> dict[int, int]:
        wanted = {1: select.POLLOUT} if self._shown else {}
        if self._input_open and not self._typed:
            wanted[0] = select.POLLIN
        if self._output_open:
            wanted[CONTROL] = select.POLLIN
            master = (0 if self._shown else select.POLLIN) | (select.POLLOUT if self._typed else 0)
            if master:
                wanted[MASTER] = master
        return wanted

    def _serve(self, descriptor: int) -> None:
        with contextlib.suppress(BlockingIOError):
            if descriptor == 0:
                self._typed = os.read(0, _CHUNK)
                self._input_open = bool(self._typed)
            elif descriptor == 1:
                self._shown = self._shown[os.write(1, self._shown) :]
            elif descriptor == CONTROL:
                if (size := terminals.decode_sizes(os.read(CONTROL, 4096))) is not None:
                    with contextlib.suppress(OSError):
                        terminals.set_size(MASTER, *size)
            else:
                self._terminal()

    def _terminal(self) -> None:
        """Either way may be ready; an error is the terminal's end."""
        try:
            if self._typed:
                with contextlib.suppress(BlockingIOError):
                    self._typed = self._typed[os.write(MASTER, self._typed) :]
            if not self._shown:
                self._shown = os.read(MASTER, _CHUNK)
                self._output_open = bool(self._shown)
        except BlockingIOError:
            return
        except OSError:
            self._output_open, self._typed = False, b""
