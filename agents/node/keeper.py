"""The keeper: the one process of a cluster outside its namespaces.

It holds the edge's listening sockets and hands them out over edge.sock, so that they stay open while the API server
and the load balancer come and go; it starts the steward, waits for it, and removes what is left when it ends. It is
small on purpose: synchronous, with nothing imported that it does not need.

    python -P -m panal.agents.node.keeper FOLDER LOCK EDGE STEWARD API[,API..] HTTP[,HTTP..]

The numbers are descriptors inherited from `panal up`: the folder's lock, the listening sockets of edge.sock and
steward.sock, and the edge's own.
"""

from __future__ import annotations

import array
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from panal import cleanup, linux
from panal.paths import ClusterPaths

REQUEST_LIMIT = 64
"""Bytes a client of edge.sock may send."""
REQUEST_SECONDS = 1.0
"""How long a silent client of edge.sock is waited for: it is served by the one thread there is."""


def main(argv: Sequence[str]) -> int:
    """Keep one cluster until it ends."""
    folder, lock, edge, steward, api, http = argv
    paths = ClusterPaths(Path(folder))
    edges = {"api": _numbers(api), "http": _numbers(http)}
    linux.become_subreaper()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    ours, theirs = socket.socketpair()
    pid = _start_steward(paths, ours, theirs, int(steward), [int(lock), int(edge), *edges["api"], *edges["http"]])
    theirs.close()
    os.close(int(steward))
    write_pid(paths, pid)
    listener = socket.socket(fileno=int(edge))
    try:
        _serve(listener, edges, pid, ours)
    finally:
        listener.close()
        ours.close()
        cleanup.kill_children()
        cleanup.remove_files(paths)
    return 0


def write_pid(paths: ClusterPaths, pid: int) -> None:
    """Note the steward's process id as it is outside: `panal shell` enters its namespaces."""
    (paths.root / "steward.pid").write_text(str(pid))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _start_steward(
    paths: ClusterPaths, ours: socket.socket, theirs: socket.socket, listener: int, only_ours: Sequence[int]
) -> int:
    """Fork the steward and return its process id. It keeps its end of the lifeline, and the folder's lock."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        ours.close()
        os.close(read)
        _become_steward(paths, theirs, listener, write, only_ours)
    os.close(write)
    with open(read) as file:
        text = file.read(32)
    if os.environ.get("PANAL_NETWORK") == "loopback":
        return child
    os.waitpid(child, 0)
    if not text:
        raise SystemExit("keeper: the steward could not be started, see the line above")
    return int(text)


def _become_steward(
    paths: ClusterPaths, lifeline: socket.socket, listener: int, report: int, only_keepers: Sequence[int]
) -> NoReturn:
    """In the child: enter the cluster's namespaces, be process 1 in them, and run the steward."""
    code = 1
    try:
        for number in only_keepers[1:]:
            os.close(number)
        if os.environ.get("PANAL_NETWORK") != "loopback":
            from panal.agents.network.capability import enter_namespaces

            enter_namespaces()
            if (first := os.fork()) != 0:
                os.write(report, str(first).encode())
                os._exit(0)
            linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
        os.close(report)
        from .steward import run

        code = run(paths, lifeline, socket.socket(fileno=listener))
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _serve(listener: socket.socket, edges: Mapping[str, Sequence[int]], steward: int, lifeline: socket.socket) -> None:
    """Hand out sockets until the steward has ended. SIGTERM ends the steward first."""
    wakeup, signalled = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.signal(signal.SIGTERM, lambda number, frame: lifeline.shutdown(socket.SHUT_RDWR))
    listener.setblocking(True)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    while not _reap(steward):
        for descriptor, _ in poll.poll():
            if descriptor == wakeup:
                os.read(wakeup, 4096)
            else:
                _hand_out(listener.accept, edges)


def _reap(steward: int) -> bool:
    """Reap what has ended; True when the steward is among them, or was lost."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == steward:
            return True
        if pid == 0:
            return False


def _hand_out(accept: Callable[[], tuple[socket.socket, object]], edges: Mapping[str, Sequence[int]]) -> None:
    """Answer one client of edge.sock, whatever it does."""
    try:
        client, _ = accept()
        with client:
            client.settimeout(REQUEST_SECONDS)
            request = b""
            while not request.endswith(b"\n") and len(request) < REQUEST_LIMIT:
                if not (part := client.recv(REQUEST_LIMIT)):
                    break
                request += part
            wanted = array.array("i", edges.get(request.strip().decode(errors="replace"), ()))
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, wanted)] if wanted else []
            client.sendmsg([b"\n"], rights)
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:7]))
