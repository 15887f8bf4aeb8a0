"""Starting the keeper: early, while the configuration is still being resolved, and then giving it its word."""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from panal import bytecode, cleanup
from panal.paths import ClusterPaths

KEEPER = "panal.agents.node"
PADDING = "-" * 400
"""Room behind the keeper's arguments for command lines of what is forked, where the kernel can't move them."""
PRIVATE = ("KUBECONFIG", "PANAL_TOKEN", "PANAL_LOW_PORTS", "PANAL_NETWORK", cleanup.MARK)


@dataclass(frozen=True)
class Keeper:
    """A keeper that waits for its word; without one it ends."""

    pid: int
    control: socket.socket

    def go(
        self,
        network: str,
        environ: Mapping[str, str],
        descriptors: Sequence[int],
        edges: Sequence[tuple[str, int]],
    ) -> None:
        """Let it start the cluster. The descriptors are those of lock, edge.sock and steward.sock."""
        names = [name for name, _ in edges]
        word = json.dumps({"network": network, "environ": dict(environ), "edges": names}).encode()
        descriptors = [*descriptors, *(number for _, number in edges)]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        self.control.sendmsg([word], rights)
        self.control.close()

    def forget(self) -> None:
        """It was not meant: wait until it has ended. One that has got its word goes on."""
        if self.control.fileno() < 0:
            return
        self.control.close()
        ended = os.pidfd_open(self.pid)
        try:
            if not select.select([ended], [], [], 2.0)[0]:
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        finally:
            os.close(ended)


def launch(paths: ClusterPaths, network: str, environ: Mapping[str, str], began: float) -> Keeper:
    """Start it, in a session of its own, its words and the steward's in logs/steward.log. Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    log = os.open(paths.logs / "steward.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    inherited = {key: value for key, value in environ.items() if key not in PRIVATE}
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, *bytecode.options(environ), "-P", "-m", KEEPER, os.fspath(paths.root), network, PADDING],
            {**inherited, cleanup.MARK: os.fspath(paths.root), "PANAL_STARTED": str(began)},
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0), *((os.POSIX_SPAWN_DUP2, log, n) for n in (1, 2))],
            setsid=True,
        )
    finally:
        os.close(log)
        theirs.close()
    return Keeper(pid, ours)
