"""Finding the clusters that run here, and talking to their stewards."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from panal.clusterfile import CLUSTER_NAME
from panal.config import ClusterConfig, load_cluster
from panal.paths import ClusterPaths, panal_home

from .failure import Failure

DEFAULT = "panal"
ANSWER_SECONDS = 10.0
"""How long a steward may take to answer: it always answers at once, unless it is stopped or the machine is."""


def home(environ: Mapping[str, str]) -> Path:
    """Where all clusters of this user lie. Raises Failure when nothing tells."""
    try:
        found = panal_home(environ)
    except OSError as error:
        raise Failure(f"the folder this was started in is gone ({error.strerror}); start it elsewhere.") from error
    if not found.is_absolute():
        raise Failure("there is no home folder for the cluster's files; set HOME, or name a folder with PANAL_HOME.")
    return found


def paths_of(name: str | None, environ: Mapping[str, str]) -> ClusterPaths:
    """Where the cluster of that name lies, whether it runs or not. Raises Failure for what is no name."""
    chosen = name or DEFAULT
    if not CLUSTER_NAME.fullmatch(chosen):
        raise Failure(f"{chosen!r} is no cluster name; use at most 32 lower-case letters, digits and hyphens.")
    return ClusterPaths.of(home(environ), chosen)


def cluster(name: str | None, environ: Mapping[str, str]) -> ClusterPaths:
    """The running cluster of that name; without a name the default one, or else the only one that runs.

    Raises Failure when there is none, naming those that run.
    """
    paths = paths_of(name, environ)
    if answers(paths):
        return paths
    others = [other for other in names(environ) if answers(ClusterPaths.of(home(environ), other))]
    if name is None and len(others) == 1:
        return ClusterPaths.of(home(environ), others[0])
    if others:
        raise Failure(f"no cluster called {paths.root.name!r} runs here; name one with --name: {', '.join(others)}.")
    raise Failure(f"no cluster called {paths.root.name!r} runs here; start it with `panal up`.")


def names(environ: Mapping[str, str]) -> list[str]:
    """Every cluster that has a folder here."""
    try:
        entries = sorted(os.listdir(home(environ) / "clusters"))
    except OSError:
        return []
    return [entry for entry in entries if CLUSTER_NAME.fullmatch(entry)]


def configuration(paths: ClusterPaths) -> ClusterConfig:
    try:
        return load_cluster(paths.config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(f"{paths.config} can't be read ({error}); take the cluster down with `panal down`.") from error


def connect(path: Path, timeout: float | None) -> socket.socket:
    """A connection to a socket in the cluster's folder. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.connect(os.fspath(path))
    except BaseException:
        connection.close()
        raise
    return connection


def answers(paths: ClusterPaths) -> bool:
    """Whether a steward, or the keeper that starts it, listens."""
    try:
        connect(paths.steward_socket, ANSWER_SECONDS).close()
    except OSError:
        return False
    return True


def ask(paths: ClusterPaths, request: Mapping[str, Any]) -> dict[str, Any]:
    """One question to the steward and its answer. Raises Failure."""
    for answer in follow(paths, request, ANSWER_SECONDS):
        return answer
    raise Failure(f"the steward of {paths.root.name!r} gave no answer; take the cluster down with `panal down`.")


def follow(paths: ClusterPaths, request: Mapping[str, Any], timeout: float | None) -> Iterator[dict[str, Any]]:
    """The lines with which the steward answers; they end when it hangs up. Raises Failure."""
    try:
        with connect(paths.steward_socket, timeout) as connection, connection.makefile("rwb") as stream:
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
            for line in stream:
                yield json.loads(line)
    except TimeoutError as error:
        raise Failure(
            f"the steward of {paths.root.name!r} did not answer within {timeout:.0f} s; `panal down` ends it."
        ) from error
    except OSError:
        return


@contextmanager
def locked(paths: ClusterPaths, *, wait: bool = False) -> Iterator[int | None]:
    """The folder's lock, as a descriptor, or None when a cluster has it. `wait` waits for it. Raises OSError."""
    descriptor = os.open(paths.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)
