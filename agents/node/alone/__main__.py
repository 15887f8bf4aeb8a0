"""One host of the LAN that has this machine (a container, mostly) to itself: the steward, in the foreground.

    python -P -m panal.agents.node.alone FOLDER

It may be process 1: it reaps what is orphaned, ends on SIGTERM with all it has started, and what its components say
goes to its own standard error. The folder stays: started again, the host goes on with its certificates and its data.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from panal import linux
from panal.config import load_cluster
from panal.paths import ClusterPaths

BUSY = 75
"""EX_TEMPFAIL of sysexits.h: another process has the folder."""


def main(argv: Sequence[str]) -> int:
    """Run the host that the folder's cluster.json says this machine is. 1 when it could not start."""
    paths = ClusterPaths(Path(argv[0]))
    lock = os.open(paths.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write(f"panal: {paths.root} is in use by another process\n")
        return BUSY
    for number in (signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    config = load_cluster(paths.config)
    if config.nodes_here and (reason := _refused(own_mounts)) is not None:
        sys.stderr.write(
            f"panal: this machine refuses mounts of the node's own ({reason}); a container needs the capability "
            "SYS_ADMIN, and no AppArmor profile that forbids them\n"
        )
        return 1
    (paths.root / "steward.pid").write_text(str(os.getpid()))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with _listen(paths.steward_socket) as listener:
        word = {"environ": {"PANAL_NETWORK": config.network}}
        rights = array.array("i", [listener.fileno(), lock])
        ours.sendmsg([json.dumps(word).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    from .. import zygote
    from ..steward import only_modules, run  # before the fork: the components share what it imports

    return run(paths, theirs, zygote.fork(only_modules(config, paths)))


def _refused(attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except OSError as error:
        return error.strerror or str(error)
    return None


def own_mounts() -> None:
    """Mounts that end with this process, and a /proc in which the network can be set up: a container's is read-only."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)


def _listen(path: Path) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()  # an earlier life's: the lock says that it is over
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(os.fspath(path))
    os.chmod(path, 0o600)
    listener.listen(128)
    return listener


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:2]))
