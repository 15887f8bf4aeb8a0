"""Taking away what a cluster left: its processes, its folder, its context in the user's kubeconfig.

Keeper, steward and command all come here: whoever survives the others cleans up after them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import cgroups, linux
from .paths import ClusterPaths

MARK = "PANAL_CLUSTER"
"""The environment variable that names the cluster's folder in every process the steward's tree begins with."""


def processes(folder: Path) -> set[int]:
    """The processes of the cluster in this folder, as this PID namespace numbers them, with all their descendants.

    A process belongs to it by its environment, its working directory or its standard streams.
    """
    parents: dict[int, int] = {}
    found: set[int] = set()
    for pid in _pids():
        with contextlib.suppress(OSError, ValueError, IndexError):
            parents[pid] = _parent(pid)
            if _belongs(pid, os.fspath(folder)):
                found.add(pid)
    found.discard(os.getpid())
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return found - {os.getpid()}


def kill_processes(folder: Path) -> None:
    """End them all, and wait until they are gone. Processes of other users are not touched."""
    while pids := processes(folder):
        handles = []
        for pid in pids:
            with contextlib.suppress(OSError):
                handles.append(os.pidfd_open(pid))
        for handle in handles:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        _wait_for(handles)


def kill_children() -> None:
    """End and reap every child and, as a subreaper or process 1, every descendant of this process."""
    while True:
        for child in _children():
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def remove_files(paths: ClusterPaths) -> None:
    """Take the context out of the user's kubeconfig, then the folder off the disk. What is gone already is no error.

    The folders above go too when this was the last cluster in them.
    """
    with contextlib.suppress(Exception):  # an unreadable kubeconfig must not keep the rest from going
        forget_context(paths)
    cgroups.remove(paths.root)
    if paths.root.exists():
        _unmount_below(os.fspath(paths.root))
        _remove_all(os.fspath(paths.root))
    for folder in (paths.root.parent, paths.root.parent.parent):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def empty_folder(folder: Path) -> None:
    """Remove what is in it and leave the folder, whose lock somebody may hold."""
    for entry in _entries(os.fspath(folder)):
        if entry.is_dir(follow_symlinks=False):
            _remove_tree(entry.path)
        else:
            os.unlink(entry.path)


def record_of_context(paths: ClusterPaths) -> Path:
    """Which kubeconfig got a context of this cluster, and which context was the current one before."""
    return paths.root / "user-kubeconfig.json"


def forget_context(paths: ClusterPaths) -> None:
    """Undo `panal up`'s merge, unless the context's name is another's by now. Raises KubeconfigError, OSError."""
    import orjson

    from . import kubeconfig

    try:
        record = orjson.loads(record_of_context(paths).read_bytes())
    except FileNotFoundError:
        return
    path, own = Path(record["path"]), kubeconfig.load(paths.kubeconfig)
    if not path.exists():
        return
    with kubeconfig.locked(path):
        _take_out(path, own, record)


def _take_out(path: Path, own: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    from . import kubeconfig

    context = own["current-context"]
    if _cluster(kubeconfig.load(path), context) != _cluster(own, context):
        return
    names = {section: own[section][0]["name"] for section in ("contexts", "clusters", "users")}
    kubeconfig.remove(path, names, previous=record.get("previous", ""))
    left = kubeconfig.load(path)
    if record.get("created") and not any(left.get(section) for section in names):
        path.unlink()


def _cluster(document: Mapping[str, Any], name: str) -> Any:
    entries = [entry for entry in document.get("clusters") or () if isinstance(entry, dict)]
    return next((entry.get("cluster") for entry in entries if entry.get("name") == name), None)


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


def _belongs(pid: int, folder: str) -> bool:
    with open(f"/proc/{pid}/environ", "rb") as file:
        if f"{MARK}={folder}".encode() in file.read().split(b"\0"):
            return True
    for link in ("cwd", "fd/0", "fd/1", "fd/2"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/{pid}/{link}")
            if link != "fd/0" and (target == folder or target.startswith(folder + "/")) and _is_ours(pid, link):
                return True
    return False


def _is_ours(pid: int, link: str) -> bool:
    """A user's own `tail -f` of a log or shell in the folder is no process of the cluster: those have no terminal."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[4]) == 0


def _children() -> list[int]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]


def _wait_for(handles: list[int]) -> None:
    import select

    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    left = set(handles)
    while left:
        ready = poll.poll(2000)
        for handle, _ in ready:
            poll.unregister(handle)
            left.discard(handle)
        if not ready:
            break
    for handle in handles:
        os.close(handle)


def _unmount_below(folder: str) -> None:
    """What is mounted there in this process's mount namespace; only the steward's has anything."""
    with open("/proc/self/mountinfo") as file:
        points = [line.split()[4].encode().decode("unicode_escape") for line in file]
    for point in reversed(points):
        if point.startswith(folder + "/"):
            with contextlib.suppress(OSError):
                linux.umount(point)


def _remove_all(path: str) -> None:
    """What ends only now may still write: then once more. Raises OSError when it doesn't stop."""
    for _ in range(20):
        try:
            _remove_tree(path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
                raise
            time.sleep(0.02)
    _remove_tree(path)


def _remove_tree(path: str) -> None:
    """rm -rf that follows no link and opens folders nobody may enter (an overlay leaves such)."""
    with contextlib.suppress(FileNotFoundError):
        entries = _entries(path)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _remove_tree(entry.path)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry.path)
        os.rmdir(path)


def _entries(path: str) -> list[os.DirEntry[str]]:
    mode = stat.S_IMODE(os.lstat(path).st_mode)
    if mode & 0o700 != 0o700:
        os.chmod(path, 0o700)
    with os.scandir(path) as entries:
        return list(entries)
