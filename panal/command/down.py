"""`panal down`: ends a cluster whatever state it is in, and returns when nothing of it is left."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping

import click

from panal import cleanup
from panal.paths import ClusterPaths

from .failure import Failure
from .running import connect, locked, names, paths_of

ANSWER = 1.0
"""Seconds the steward has to hear that it is to end."""
PATIENCE = 5.0
"""Seconds a cluster has to end by itself; it takes a fraction of one."""


def down(name: str | None, environ: Mapping[str, str], grace: float = 0.0) -> None:
    """End it; its pods may take `grace` seconds before. Raises Failure when there is nothing to end."""
    paths, others = paths_of(name, environ), names(environ)
    if name is None and not paths.root.exists() and len(others) == 1:
        paths = paths_of(others[0], environ)
    if not paths.root.exists() and not paths.membership.exists():
        hint = f"these are there: {', '.join(others)}" if others else "nothing runs here"
        raise Failure(f"there is no cluster called {paths.root.name!r}; {hint}.")
    if grace > 0:
        _let_pods_end(paths, grace)
    end(paths)
    _forget(paths)
    click.echo(f"The cluster {paths.root.name!r} is gone.")


def _let_pods_end(paths: ClusterPaths, grace: float) -> None:
    """Ask all kubelets to shut their nodes down in peace; a node that doesn't answer holds nothing up."""
    from .gracefully import shut_down

    for line in asyncio.run(shut_down(paths, grace)):
        click.echo(line, err=True)


def _forget(paths: ClusterPaths) -> None:
    """This machine is to be no node of another one's cluster any more."""
    paths.membership.unlink(missing_ok=True)
    for folder in (paths.membership.parent, paths.membership.parent.parent):
        with contextlib.suppress(OSError):
            folder.rmdir()


def end(paths: ClusterPaths) -> None:
    """Ask the steward; kill what does not follow; remove what is left."""
    if _told(paths):
        _wait_until_free(paths, time.monotonic() + PATIENCE)
    cleanup.kill_processes(paths.root)
    cleanup.remove_files(paths)


def _told(paths: ClusterPaths) -> bool:
    """Whether the steward has heard that it is to end."""
    try:
        with connect(paths.steward_socket, ANSWER) as connection:
            connection.sendall(b'{"do": "down"}\n')
            return bool(connection.recv(4096))
    except OSError:
        return False


def _wait_until_free(paths: ClusterPaths, deadline: float) -> None:
    """Until neither keeper nor steward holds the folder's lock, or the folder is gone."""
    while time.monotonic() < deadline:
        try:
            with locked(paths) as lock:
                if lock is not None:
                    return
        except OSError:
            return
        time.sleep(0.005)
