"""The keeper: the one process of a cluster outside its namespaces.

It holds the edge's listening sockets and hands them out over edge.sock, so that they stay open while the API server
and the load balancer come and go; it starts the steward, waits for it, and removes what is left when it ends. It is
small on purpose: synchronous, with nothing imported that it does not need.

    python -P -m panal.agents.node FOLDER NETWORK

`panal up` starts it before it knows all of the configuration, so that importing the components begins early: NETWORK
is a guess. The final word comes over standard input, a socket: `{"network": .., "environ": {..}, "edges": [names]}`
with descriptors of the folder's lock, the listening sockets of edge.sock and steward.sock, and the edge's own, by name.
No word: nothing was meant.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from panal import cleanup, linux
from panal.agents.runtime.title import set_title
from panal.paths import ClusterPaths

REQUEST_LIMIT = 64
"""Bytes a client of edge.sock may send."""
REQUEST_SECONDS = 1.0
"""How long a silent client of edge.sock is waited for: it is served by the one thread there is."""
WORD_LIMIT = 1 << 16
RIGHTS = 16
"""Descriptors that come with a word at most."""
ANNOUNCER = "panal.agents.join"
DIAL = "dial"
"""The name under which edge.sock gives a new TCP socket of the machine's own network: to dial out from inside."""
NETLINK = "netlink"
"""And a route socket of it, which is good for something only to root: its VXLAN device begins there."""


@dataclass(frozen=True)
class Started:
    """A steward that waits for its word. The lifeline's end tells either of the two that the other one has gone."""

    pid: int
    lifeline: socket.socket

    def drop(self) -> None:
        self.lifeline.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def main(argv: Sequence[str]) -> int:
    """Keep one cluster until it ends."""
    paths, network = ClusterPaths(Path(argv[0])), argv[1]
    linux.become_subreaper()
    set_title(["panal-keeper", os.fspath(paths.root)])
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    started = start_steward(paths, network)
    with socket.socket(fileno=os.dup(0)) as control:
        word, numbers = receive(control)
    if not word:
        if started is not None:
            started.drop()
        return 0
    wanted = json.loads(word)
    if started is None or wanted["network"] != network:
        if started is not None:
            started.drop()
        started = start_steward(paths, wanted["network"])
    if started is None:
        sys.stderr.write("keeper: this machine has refused the cluster's namespaces, see the line above\n")
        cleanup.remove_files(paths)
        return 1
    lock, edge, steward, *others = numbers
    edges: dict[str, list[int]] = {}
    for name, descriptor in zip(wanted["edges"], others, strict=True):
        edges.setdefault(name, []).append(descriptor)
    keep(paths, started, word, lock, edge, steward, edges)
    return 0


def keep(
    paths: ClusterPaths,
    started: Started,
    word: bytes,
    lock: int,
    edge: int,
    steward: int,
    edges: Mapping[str, Sequence[int]],
) -> None:
    """Give the steward its word, serve the edge until it ends, and clean up after it."""
    (paths.root / "steward.pid").write_text(str(started.pid))
    rights = array.array("i", [steward, lock])
    started.lifeline.sendmsg([word], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    os.close(steward)
    announcer = _announce(paths) if "relay" in edges else -1
    with socket.socket(fileno=edge) as listener:
        try:
            _serve(paths, listener, edges, started)
        finally:
            started.lifeline.close()
            if announcer >= 0:
                os.close(announcer)
            cleanup.kill_children()
            cleanup.remove_files(paths)


def _announce(paths: ClusterPaths) -> int:
    """Start the process that announces the cluster in the machine's network, for as long as this pipe is open."""
    read, write = os.pipe()
    try:
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", ANNOUNCER, os.fspath(paths.root)],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, read, 0)],
        )
    finally:
        os.close(read)
    return write


def receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    """One message and the descriptors that came with it; an empty one when the other side has gone."""
    numbers = array.array("i")
    try:
        word, ancillary, _, _ = connection.recvmsg(WORD_LIMIT, socket.CMSG_SPACE(RIGHTS * numbers.itemsize))
    except ConnectionError:
        return b"", []
    for _, _, content in ancillary:
        numbers.frombytes(content)
    for number in numbers:
        os.set_inheritable(number, False)
    return word, list(numbers)


def start_steward(paths: ClusterPaths, network: str) -> Started | None:
    """Fork the steward, in namespaces of the cluster's own if `network` has them. None when those are refused."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    read, write = os.pipe()
    separate = network != "loopback"
    if (child := os.fork()) == 0:
        ours.close()
        os.close(read)
        _become_steward(paths, theirs, write, separate)
    os.close(write)
    theirs.close()
    with open(read) as file:
        text = file.read(32)
    if not separate:
        return Started(child, ours)
    os.waitpid(child, 0)
    if not text:
        ours.close()
        return None
    return Started(int(text), ours)


def _become_steward(paths: ClusterPaths, lifeline: socket.socket, report: int, separate: bool) -> NoReturn:
    """In the child: enter the cluster's namespaces, be process 1 in them, and run the steward."""
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        if separate:
            from panal.agents.network.capability import enter_namespaces

            enter_namespaces()
            if (first := os.fork()) != 0:
                os.write(report, str(first).encode())
                os._exit(0)
            linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
        os.close(report)
        from . import zygote
        from .steward import run  # before the fork: the components share what it imports

        code = run(paths, lifeline, zygote.fork())
    except BaseException as error:
        if separate and isinstance(error, OSError):
            sys.stderr.write(f"keeper: {error}\n")
        else:
            import traceback

            traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _serve(paths: ClusterPaths, listener: socket.socket, edges: Mapping[str, Sequence[int]], started: Started) -> None:
    """Hand out sockets until the steward has ended. SIGTERM ends the steward, and so does removing its files."""
    wakeup, signalled = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.signal(signal.SIGTERM, lambda number, frame: started.lifeline.shutdown(socket.SHUT_RDWR))
    listener.setblocking(True)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    removals = linux.inotify(paths.root, linux.IN_DELETE)
    poll.register(removals, select.POLLIN)
    while not _reap(started.pid):
        for descriptor, _ in poll.poll():
            if descriptor == wakeup:
                os.read(wakeup, 4096)
            elif descriptor == removals:
                os.read(removals, 1 << 16)
                if not paths.config.exists():
                    started.lifeline.shutdown(socket.SHUT_RDWR)
            else:
                hand_out(listener.accept, edges)


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


def hand_out(accept: Callable[[], tuple[socket.socket, object]], edges: Mapping[str, Sequence[int]]) -> None:
    """Answer one client of edge.sock, whatever it does."""
    with contextlib.suppress(OSError):
        client, _ = accept()
        with client:
            client.settimeout(REQUEST_SECONDS)
            request = b""
            while not request.endswith(b"\n") and len(request) < REQUEST_LIMIT:
                if not (part := client.recv(REQUEST_LIMIT)):
                    break
                request += part
            name = request.strip().decode(errors="replace")
            if name in (DIAL, NETLINK):
                with socket.socket() if name == DIAL else socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as fresh:
                    _give(client, [fresh.fileno()])
            else:
                _give(client, edges.get(name, ()))


def _give(client: socket.socket, numbers: Sequence[int]) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", numbers))] if numbers else []
    client.sendmsg([b"\n"], rights)
