"""The process that everything is forked from: it imports every component once, then serves as a spawner.

It is forked off before the steward has done anything, and imports while the steward builds the LAN; what is asked of
it meanwhile waits in its socket.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
from collections.abc import Iterable

from panal.agents.runtime import server
from panal.agents.runtime.spawner import Spawner

NAME = "panal-spawner"


def fork(modules: Iterable[str]) -> Spawner:
    """Fork it. The caller may run an event loop by now: the child closes all it inherits but its streams."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if (pid := os.fork()) == 0:
        signal.set_wakeup_fd(-1)
        ours.close()
        try:
            for module in (*modules, *_LATE):
                _load(module)
        finally:
            server.run(theirs, NAME)
    theirs.close()
    ours.setblocking(False)
    return Spawner(ours, pid)


_LATE = ("uvloop", "aiohttp", "ssl", "sqlite3", "encodings.idna", "concurrent.futures.thread")
"""What components import inside functions, and nearly all of them do."""


def _load(module: str) -> None:
    """One that can't be imported must not keep the others from starting: it says so again when it is started."""
    try:
        importlib.import_module(module)
    except Exception as error:
        sys.stderr.write(f"{NAME}: {module}: {type(error).__name__}: {error}\n")
