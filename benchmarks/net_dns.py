"""Cluster DNS against unbound with the same names as local data: the server has a core for itself."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from netload import Load, free_port, header, in_turn, measured, peer, shown

NAMES = 500
WINDOW = 64
UNBOUND = """
server:
  interface: 127.0.0.1@{port}
  num-threads: 1
  do-daemonize: no
  use-syslog: no
  logfile: ""
  verbosity: 0
  chroot: ""
  username: ""
  directory: "{folder}"
  pidfile: ""
  so-rcvbuf: 1m
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  local-zone: "cluster.local." static
{data}
remote-control:
  control-enable: no
"""


def serve(port: int) -> None:
    """Panal's cluster DNS with its zones filled, until killed."""
    import uvloop

    from panal.controlplane.dns.server import Responder, Server
    from panal.controlplane.dns.zones import ClusterZones

    async def run() -> None:
        zones = ClusterZones("cluster.local", ttl=30, serial=1, address="10.96.0.10")
        for number in range(NAMES):
            spec = {"clusterIP": _address(number), "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
            name = f"s{number}"
            zones.service(("default", name), {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
        async with Server(Responder(zones.zones)) as server:
            await server.start("127.0.0.1", port)
            await server.serve_forever()

    uvloop.run(run())


def _address(number: int) -> str:
    return f"10.96.{1 + number // 250}.{1 + number % 250}"


def _query(ident: int, number: int) -> bytes:
    labels = f"s{number}.default.svc.cluster.local".split(".")
    name = b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"
    return ident.to_bytes(2, "big") + b"\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1"


def questions(port: int, seconds: float) -> int:
    """How many were answered, so many always under way."""
    sent = [_query(number, number) for number in range(NAMES)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(1.0)
        done, at, deadline = 0, 0, time.monotonic() + seconds
        while time.monotonic() < deadline:
            for _ in range(WINDOW):
                sock.send(sent[at])
                at = (at + 1) % NAMES
            try:
                for _ in range(WINDOW):
                    assert len(sock.recv(600)) > 40
                    done += 1
            except TimeoutError:
                continue
        return done


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        sock.connect(("127.0.0.1", port))
        sock.send(_query(1, 0))
        return bool(sock.recv(600))
    return False


def run(rounds: int, seconds: float) -> Iterator[str]:
    """The lines of the report."""
    every = sorted(os.sched_getaffinity(0))
    server_core, rest = {every[0]}, {every[-1]}
    with tempfile.TemporaryDirectory(prefix="bench-dns-") as name, contextlib.ExitStack() as stack:
        ours, theirs = free_port(), free_port()
        data = "\n".join(
            f'  local-data: "s{number}.default.svc.cluster.local. 30 A {_address(number)}"' for number in range(NAMES)
        )
        (Path(name) / "unbound.conf").write_text(UNBOUND.format(port=theirs, folder=name, data=data))
        panal = stack.enter_context(peer([sys.executable, __file__, str(ours)], lambda: _answers(ours), server_core))
        unbound = stack.enter_context(
            peer(["unbound", "-d", "-c", str(Path(name) / "unbound.conf")], lambda: _answers(theirs), server_core)
        )
        os.sched_setaffinity(0, rest)
        yield header("Panal", "unbound", "DNS, answers/s")

        def load(pid: int, port: int) -> Load:
            return measured(pid, lambda: questions(port, seconds))

        found = in_turn({"Panal": lambda: load(panal, ours), "unbound": lambda: load(unbound, theirs)}, rounds)
        yield from shown(f"A of {NAMES} Services, {WINDOW} under way", found, "Panal", "unbound")
        os.sched_setaffinity(0, every)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
