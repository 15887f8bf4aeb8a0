"""`panal down`: ends a cluster whatever state it is in, and returns when nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping

import click

from panal import cleanup
from panal.paths import ClusterPaths

from .failure import Failure
from .running import answers, connect, locked, names, paths_of

PATIENCE = 5.0
"""Seconds a cluster has to end by itself; it takes a fraction of one."""


def down(name: str | None, environ: Mapping[str, str]) -> None:
    """End it. Raises Failure when there is nothing to end."""
    paths = paths_of(name, environ)
    if not paths.root.exists():
        others = names(environ)
        hint = f"these are there: {', '.join(others)}" if others else "nothing runs here"
        raise Failure(f"there is no cluster called {paths.root.name!r}; {hint}.")
    end(paths)
    click.echo(f"The cluster {paths.root.name!r} is gone.")


def end(paths: ClusterPaths) -> None:
    """Ask the steward; kill what does not follow; remove what is left."""
    with contextlib.suppress(OSError), connect(paths.steward_socket, 1.0) as connection:
        connection.sendall(b'{"do": "down"}\n')
        connection.recv(4096)
    if not _gone_soon(paths):
        cleanup.kill_processes(paths.root)
    cleanup.kill_processes(paths.root)
    cleanup.remove_files(paths)
    _remove_empty_parents(paths)


def _gone_soon(paths: ClusterPaths) -> bool:
    """Whether every process that holds the folder's lock (keeper and steward) ends in time."""
    deadline = time.monotonic() + (PATIENCE if answers(paths) or _held(paths) else 0.0)
    while _held(paths):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _held(paths: ClusterPaths) -> bool:
    try:
        with locked(paths) as lock:
            return lock is None
    except OSError:
        return False


def _remove_empty_parents(paths: ClusterPaths) -> None:
    """`clusters` and $PANAL_HOME, when this was the last one."""
    for folder in (paths.root.parent, paths.root.parent.parent):
        with contextlib.suppress(OSError):
            os.rmdir(folder)
