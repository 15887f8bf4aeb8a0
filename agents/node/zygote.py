"""The process that everything is forked from: it imports every component once, then serves as a spawner.

It is forked off before the steward has imported or done anything, and imports while the configuration is resolved and
the LAN is built; what is asked of it meanwhile waits in its socket.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

NAME = "panal-spawner"

LATE = ("uvloop", "aiohttp", "ssl", "sqlite3", "encodings.idna", "concurrent.futures.thread")
"""What components import inside functions, and nearly all of them do."""


@dataclass(frozen=True)
class Zygote:
    pid: int
    connection: socket.socket


def fork() -> Zygote:
    """Fork it. The caller may run an event loop by now: the child closes all it inherits but its streams."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if (pid := os.fork()) == 0:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            ours.close()
            _import_everything()
            from panal.agents.runtime import server

            server.run(theirs, NAME)
        finally:
            os._exit(code)
    theirs.close()
    ours.setblocking(False)
    return Zygote(pid, ours)


def _import_everything() -> None:
    from .components import modules

    with _without_certificates():
        for module in (*modules(), *LATE):
            _load(module)


def _load(module: str) -> None:
    """One that can't be imported must not keep the others from starting: it says so again when it is started."""
    try:
        importlib.import_module(module)
    except Exception as error:
        sys.stderr.write(f"{NAME}: {module}: {type(error).__name__}: {error}\n")


@contextmanager
def _without_certificates() -> Iterator[None]:
    """aiohttp reads the machine's certificate authorities when it is imported: 50 ms and some MiB that nobody needs.

    Components trust the cluster's own authority, which each of them is given.
    """
    kept = {name: os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    os.environ.update(dict.fromkeys(kept, os.devnull))
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
