"""The process that everything is forked from: it imports every component once, then serves as a spawner.

It is forked off before the steward has imported or done anything, and imports while the configuration is resolved and
the LAN is built; what is asked of it meanwhile waits in its socket. What the control plane's node needs is imported
first, and served at once by an early copy of it: the API server starts while the rest is still being imported.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from panal import linux

NAME = "panal-spawner"

LATE = ("uvloop", "panal.http1", "aiohttp", "ssl", "sqlite3", "encodings.idna", "concurrent.futures.thread")
"""What components import inside functions, and nearly all of them do."""


@dataclass(frozen=True)
class Zygote:
    """Both spawners: their process ids, where they are known, and the sockets that they are asked by."""

    pid: int
    connection: socket.socket
    early: socket.socket


def fork(only: Sequence[str] | None = None) -> Zygote:
    """Fork it, with all components' modules or with these.

    The caller may run an event loop by now: the child closes all it inherits but its streams."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    early, served_early = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gc.freeze()
    if (pid := os.fork()) == 0:
        try:
            signal.set_wakeup_fd(-1)
            ours.close()
            early.close()
            _be_spawner(theirs, served_early, only)
        finally:
            os._exit(1)
    for connection in (theirs, served_early):
        connection.close()
    for connection in (ours, early):
        connection.setblocking(False)
    return Zygote(pid, ours, early)


def _be_spawner(owner: socket.socket, early_owner: socket.socket, only: Sequence[str] | None) -> None:
    from panal.agents.runtime import server
    from panal.agents.runtime.title import set_title
    from panal.warmup import warm_up

    from .components import later_modules, modules

    gc.disable()  # all of it stays, and what is frozen before a fork is not touched, so it stays shared
    with _without_certificates():
        _load_all((*(modules() if only is None else only), *LATE))
    with suppress(Exception):  # components do without
        set_title([NAME])
        warm_up()
    _settle()
    if (early := os.fork()) == 0:
        gc.enable()
        server.run(early_owner, NAME)
    early_owner.close()
    with _without_certificates():
        _load_all(later_modules() if only is None else ())
    _settle()
    gc.enable()
    server.run(owner, NAME, [early])


def _settle() -> None:
    """Leave as little as possible that a child would write to.

    The interpreter's cache of attributes holds a reference to each name in it, and has been filled with names that only
    importing needed: a child that looks up its own would write to those, wherever they lie, as it puts them out. The
    collector, which has nothing to look at, empties the lists of freed objects, which lie as scattered.
    """
    sys._clear_type_cache()
    gc.freeze()
    gc.collect()
    linux.forget_files()


def _load_all(modules: Iterable[str]) -> None:
    for module in modules:
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
