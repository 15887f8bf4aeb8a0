"""`panal logs COMPONENT`: the log of a process of the steward's, or of a pod of Panal's own by its component's name."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Mapping
from pathlib import Path

from panal import linux
from panal.paths import ClusterPaths

from .failure import Failure
from .running import cluster, configuration

CHUNK = 1 << 16


def logs(name: str | None, component: str, follow: bool, environ: Mapping[str, str]) -> None:
    """Write the log to standard output. Raises Failure."""
    paths = cluster(name, environ)
    file = find(paths, component)
    if file is None:
        raise Failure(f"nothing called {component!r} has a log; there are {', '.join(available(paths))}.")
    with file.open("rb") as log:
        _copy(log.fileno())
        if follow:
            _follow(log.fileno(), file)


def find(paths: ClusterPaths, component: str) -> Path | None:
    """The newest log of that component."""
    return _all(paths).get(component)


def available(paths: ClusterPaths) -> list[str]:
    return sorted(_all(paths))


def _all(paths: ClusterPaths) -> dict[str, Path]:
    """Every log by its short name: POD's own name, also without the node's name behind it."""
    found = {file.stem: file for file in sorted(paths.logs.glob("*.log"))}
    for node in configuration(paths).nodes:
        folders = sorted(paths.node(node.name).pod_logs.glob("kube-system_*"), key=lambda path: path.stat().st_mtime)
        for folder in folders:
            pod = folder.name.split("_")[1]
            files = sorted(folder.glob("*/*.log"), key=lambda path: path.stat().st_mtime)
            if files:
                found[pod] = files[-1]
                found[pod.removesuffix(f"-{node.name}")] = files[-1]
                if pod.startswith("kube-proxy-"):
                    found[f"kube-proxy-{node.name}"] = found.pop(pod)
    return found


def _copy(descriptor: int) -> None:
    while part := os.read(descriptor, CHUNK):
        sys.stdout.buffer.write(part)
    sys.stdout.flush()


def _follow(descriptor: int, file: Path) -> None:
    """Until interrupted, woken by the kernel when the file is written (inotify(7))."""
    try:
        watch = linux.inotify(file, linux.IN_MODIFY | linux.IN_DELETE_SELF | linux.IN_MOVE_SELF)
    except OSError as error:
        raise Failure(f"{file} can't be followed: {error.strerror}; leave out -f.") from error
    try:
        while True:
            select.select([watch], [], [])
            os.read(watch, 4096)
            _copy(descriptor)
            if not file.exists():
                return
    except KeyboardInterrupt:
        return
