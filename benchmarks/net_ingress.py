"""Panal's ingress against nginx, Traefik and Caddy before the same nginx: each has a core for itself, with access log.

nginx and Caddy are configured from the same RouteTable, by the engines. Then: the memory of 10,000 idle connections.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import resource
import shutil
import socket
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from net_forward import NGINX as BACKEND
from netload import Load, free_port, in_turn, listening, measured, requests

from panal.proxy.ingress.engines.caddy import Caddy
from panal.proxy.ingress.engines.contract import Engine, Ports
from panal.proxy.ingress.engines.nginx import Nginx
from panal.proxy.ingress.routes import Backend, HostRoutes, Route, RouteTable
from panal.proxy.ingress.tls import fake_certificate

IDLE = 10_000
CASES = (
    ("keep-alive, 64 connections", "/small", 64, True, False),
    ("keep-alive, 1,000 connections", "/small", 1000, True, False),
    ("new connections, 64 at a time", "/small", 64, False, False),
    ("1 MiB bodies, 64 connections", "/mib", 64, True, False),
    ("TLS, keep-alive, 64 connections", "/small", 64, True, True),
    ("TLS, new connections, 64 at a time", "/small", 64, False, True),
)
TRAEFIK = """
http:
  routers:
    plain: {{rule: "Host(`a`)", service: web, entryPoints: [web]}}
    secure: {{rule: "Host(`a`)", service: web, entryPoints: [websecure], tls: {{}}}}
  services:
    web: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{backend}"}}]}}}}
"""


def table(backend: int) -> RouteTable:
    """One host, one path, one endpoint."""
    route = Route("/", "Prefix", Backend("bench-web-80", (("127.0.0.1", backend),)))
    return RouteTable(hosts={"a": HostRoutes([route])}, backends=frozenset({("127.0.0.1", backend)}))


def serve(port: int, secure: int, backend: int) -> None:
    """Panal's ingress as its controller runs it, until killed."""
    import asyncio

    import uvloop

    from panal.proxy.ingress.accesslog import AccessLog, unblocked
    from panal.proxy.ingress.downstream import Timeouts
    from panal.proxy.ingress.proxy import Proxy
    from panal.proxy.ingress.server import Server
    from panal.proxy.ingress.tls import Certificates

    async def run() -> None:
        proxy = Proxy(Timeouts(), log=AccessLog(unblocked(1)))
        proxy.apply(table(backend))
        server = Server(proxy, Certificates(lambda _: None, lambda _: None))
        await server.listen("127.0.0.1", secure, tls=True)
        await server.listen("127.0.0.1", port)
        await asyncio.Event().wait()

    _all_descriptors()
    uvloop.run(run())


def _all_descriptors() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Peers:
    """The commands of those that this machine has, each with its ports: plain and TLS."""

    def __init__(self, folder: Path, backend: int) -> None:
        self._folder, self._backend = folder, backend
        self.ports: dict[str, tuple[int, int]] = {}
        self.commands: dict[str, list[str]] = {}
        self._add("Panal", [sys.executable, __file__, "@plain", "@secure", str(backend)])
        self._add("nginx", ["nginx", "-e", "/dev/stderr", "-g", "daemon off;", "-c", "@folder/nginx.conf"], Nginx)
        self._add(
            "Traefik",
            [
                "traefik", "--entrypoints.web.address=127.0.0.1:@plain",
                "--entrypoints.websecure.address=127.0.0.1:@secure", "--providers.file.filename=@folder/traefik.yaml",
                "--accesslog=true", "--global.checknewversion=false", "--global.sendanonymoususage=false",
            ],
        )  # fmt: skip
        self._add("Caddy", ["caddy", "run", "--config", "@folder/caddy.json"], Caddy)
        (folder / "traefik.yaml").write_text(TRAEFIK.format(backend=backend))

    def _add(self, name: str, command: list[str], engine: type[Nginx] | type[Caddy] | None = None) -> None:
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:{Path(sys.executable).parent}"
        program = shutil.which(command[0], path=path)
        if program is None:
            return
        plain, secure = free_port(), free_port()
        words = {"@plain": str(plain), "@secure": str(secure), "@folder": str(self._folder)}
        for word, meaning in words.items():
            command = [part.replace(word, meaning) for part in command]
        self.ports[name], self.commands[name] = (plain, secure), [program, *command[1:]]
        if engine is not None:
            made: Engine = engine(fake_certificate(datetime.datetime.now(datetime.UTC)))
            ports = Ports(plain, secure, free_port())
            rendered = made.render(table(self._backend), lambda _: None, str(self._folder), ports)
            for file, content in rendered.files.items():
                (self._folder / file).write_bytes(content)


def run(rounds: int, seconds: float) -> Iterator[str]:
    """The lines of the report."""
    every = sorted(os.sched_getaffinity(0))
    proxy_core, rest = {every[0]}, {every[-1]}
    with tempfile.TemporaryDirectory(prefix="bench-net-") as place, contextlib.ExitStack() as stack:
        folder = Path(place)
        folder.chmod(0o755)
        (folder / "small").write_bytes(b"x" * 100)
        (folder / "mib").write_bytes(b"x" * (1 << 20))
        backend = free_port()
        (folder / "backend.conf").write_text(BACKEND.format(folder=folder, port=backend, other=free_port()))
        nginx = ["nginx", "-c", str(folder / "backend.conf"), "-p", place, "-g", "" if os.geteuid() else "user root;"]
        stack.enter_context(listening(nginx, backend, rest))
        peers = Peers(folder, backend)
        pids = {
            name: stack.enter_context(listening(command, peers.ports[name][0], proxy_core))
            for name, command in peers.commands.items()
        }
        measured_pids = {name: _worker(pid) if name == "nginx" else pid for name, pid in pids.items()}
        os.sched_setaffinity(0, rest)
        others = [name for name in pids if name != "Panal"]
        yield f"{'ingress, requests/s':<36}" + "".join(f"{name:>9}" for name in pids) + "   x " + " x ".join(others)
        for label, path, connections, keep, tls in CASES:

            def load(name: str, how: tuple[str, int, bool, bool] = (path, connections, keep, tls)) -> Load:
                port, span = peers.ports[name][how[3]], seconds if how[2] else min(seconds, 0.5)
                work = lambda: requests(port, how[0], how[1], span, keep=how[2], tls=how[3])  # noqa: E731
                return measured(measured_pids[name], work)

            yield from _row(label, in_turn({name: lambda name=name: load(name) for name in pids}, rounds), others)
        os.sched_setaffinity(0, every)
        yield _idle(pids["Panal"], peers.ports["Panal"][0])


def _row(label: str, found: dict[str, list[Load]], others: list[str]) -> Iterator[str]:
    rates = {name: statistics.median(load.rate for load in loads) for name, loads in found.items()}
    ratios = [
        statistics.median(a.rate / b.rate for a, b in zip(found["Panal"], found[name], strict=True)) for name in others
    ]
    yield f"{label:<36}" + "".join(f"{rate:>9,.0f}" for rate in rates.values()) + "".join(f"{x:>7.2f}" for x in ratios)
    cpus = (statistics.median(load.cpu_per_thousand for load in loads) for loads in found.values())
    yield f"{'    CPU s per 1,000':<36}" + "".join(f"{cpu:>9.3f}" for cpu in cpus)


def _worker(master: int) -> int:
    """nginx' master does nothing: its only worker is what is measured."""
    return int(Path(f"/proc/{master}/task/{master}/children").read_text().split()[0])


def _idle(pid: int, port: int) -> str:
    """Connections that had one request each and are kept."""
    _all_descriptors()
    before, kept = _mib(pid), []
    for number in range(IDLE):
        sock = socket.socket()
        sock.bind((f"127.0.1.{1 + number % 200}", 0))
        sock.connect(("127.0.0.1", port))
        sock.sendall(b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
        kept.append(sock)
    after = _mib(pid)
    for sock in kept:
        sock.close()
    return f"{len(kept):,} idle connections: {after:.0f} MiB of the process' own, {before:.0f} MiB before"


def _mib(pid: int) -> float:
    parts = dict(line.split()[:2] for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return (int(parts["Private_Dirty:"]) + int(parts["Private_Clean:"])) / 1024


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:4]))
