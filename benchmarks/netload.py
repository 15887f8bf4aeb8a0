"""What the network's benchmarks share: a load of HTTP requests, the CPU of a process, and pairs measured in turn."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import socket
import ssl
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple

_NO_PORT = 24
"""IP_BIND_ADDRESS_NO_PORT of <linux/in.h>."""
_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_TLS.check_hostname, _TLS.verify_mode = False, ssl.CERT_NONE
TICKS = os.sysconf("SC_CLK_TCK")


class Load(NamedTuple):
    """What one run did."""

    count: int
    seconds: float
    cpu: float
    """Seconds of the measured process."""

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    @property
    def cpu_per_thousand(self) -> float:
        return 1000 * self.cpu / max(1, self.count)


def cpu_of(pid: int) -> float:
    """User and system seconds of a process, all its threads."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def peer(command: list[str], ready: Callable[[], bool], cores: set[int], seconds: float = 40.0) -> Iterator[int]:
    """A program to measure, on these cores, from when it is ready until the block ends; gives its process id.

    Raises TimeoutError.
    """
    environ = {**os.environ, "GOMAXPROCS": str(len(cores))}  # Go looks at the machine's cores before it has these
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ)
    try:
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{command[0]} does not answer")
            time.sleep(0.02)
        for thread in os.listdir(f"/proc/{process.pid}/task"):
            os.sched_setaffinity(int(thread), cores)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def listening(command: list[str], port: int, cores: set[int]) -> AbstractContextManager[int]:
    """`peer` for what is ready when its port is."""
    return peer(command, lambda: listens(port), cores)


def requests(port: int, path: str, connections: int, seconds: float, *, keep: bool, tls: bool = False) -> int:
    """How many requests were answered whole; `keep`: on connections that stay, else each on a new one."""
    size = _length(port, path, keep, tls)
    head = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n".encode()
    poll = select.epoll()
    open_now: dict[int, tuple[socket.socket, list[int]]] = {}

    sources = itertools.cycle(f"127.0.0.{last}" for last in range(2, 250))

    def dial() -> None:
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_IP, _NO_PORT, 1)
        sock.bind((next(sources), 0))  # many: the ports of one would run out
        sock.connect(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock = secured(sock) if tls else sock
        sock.sendall(head)
        sock.setblocking(False)
        poll.register(sock.fileno(), select.EPOLLIN)
        open_now[sock.fileno()] = (sock, [0])

    for _ in range(connections):
        dial()
    done, deadline = 0, time.monotonic() + seconds
    buffer = bytearray(1 << 18)
    while time.monotonic() < deadline:
        for fd, _ in poll.poll(1.0):
            sock, got = open_now[fd]
            try:
                received = sock.recv_into(buffer)
                while received and isinstance(sock, ssl.SSLSocket) and sock.pending():
                    received += sock.recv_into(buffer)
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            except (ConnectionResetError, ssl.SSLEOFError):
                received = 0
            got[0] += received
            if keep and got[0] >= size:
                got[0] = 0
                done += 1
                sock.send(head)
            elif not received:
                done += got[0] == size
                poll.unregister(fd)
                sock.close()
                del open_now[fd]
                dial()
    for sock, _ in open_now.values():
        sock.close()
    poll.close()
    return done


def secured(sock: socket.socket) -> ssl.SSLSocket:
    """TLS with whoever answers there, whose certificate is nobody's."""
    return _TLS.wrap_socket(sock, server_hostname="a", suppress_ragged_eofs=True)


def _length(port: int, path: str, keep: bool, tls: bool = False) -> int:
    """Bytes of one whole response: the same for each."""
    kind = "keep-alive" if keep else "close"
    with socket.create_connection(("127.0.0.1", port)) as plain, secured(plain) if tls else plain as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: {kind}\r\n\r\n".encode())
        said = b""
        while b"\r\n\r\n" not in said:
            said += sock.recv(65536)
    head, _, _ = said.partition(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return len(head) + 4 + int(length.partition(b":")[2])


def measured(pid: int, work: Callable[[], int]) -> Load:
    """`work` returns how many it did; the CPU is that of process `pid`."""
    before, started = cpu_of(pid), time.monotonic()
    count = work()
    return Load(count, time.monotonic() - started, cpu_of(pid) - before)


def in_turn(runs: Mapping[str, Callable[[], Load]], rounds: int) -> dict[str, list[Load]]:
    """Each in every round, so that what else the machine does falls on all."""
    found: dict[str, list[Load]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return found


def shown(label: str, found: Mapping[str, list[Load]], ours: str, other: str) -> Iterator[str]:
    """A line: rates, CPU, and the median of the rounds' ratios."""
    rates = {name: statistics.median(load.rate for load in loads) for name, loads in found.items()}
    cpus = {name: statistics.median(load.cpu_per_thousand for load in loads) for name, loads in found.items()}
    ratios = [a.rate / b.rate for a, b in zip(found[ours], found[other], strict=True)]
    yield (
        f"{label:<34}{rates[ours]:>10,.0f}{rates[other]:>10,.0f}{statistics.median(ratios):>7.2f}"
        f"{cpus[ours]:>12.4f}{cpus[other]:>9.4f}"
    )


def header(ours: str, other: str, unit: str) -> str:
    return f"{unit:<34}{ours:>10}{other:>10}  ratio   CPU s per 1,000"
