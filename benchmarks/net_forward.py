"""Userspace TCP forwarding against HAProxy before the same nginx: the proxy has a core for itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from netload import Load, free_port, header, in_turn, listening, measured, requests, shown

NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; sendfile on;
  server {{ listen 127.0.0.1:{port}; listen 127.0.0.1:{other}; root {folder}; }}
}}
"""
HAPROXY = """
global
  nbthread 1
  maxconn 8000
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen a
  bind 127.0.0.1:{port}
  server one 127.0.0.1:{backend}
"""


def serve(port: int, backend: int) -> None:
    """Panal's forwarding engine, as kube-proxy runs it in `userspace` mode, until killed."""
    from panal.proxy.forward.balance import Backends
    from panal.proxy.forward.engine import Engine
    from panal.proxy.forward.records import Frontend

    async def run() -> None:
        engine = Engine("bench")
        engine.start()
        await engine.apply({Frontend("TCP", "127.0.0.1", port): Backends((("127.0.0.1", backend),))})
        await asyncio.Event().wait()

    asyncio.run(run())


def run(rounds: int, seconds: float) -> Iterator[str]:
    """The lines of the report."""
    every = sorted(os.sched_getaffinity(0))
    proxy_core, rest = {every[0]}, {every[-1]}
    with tempfile.TemporaryDirectory(prefix="bench-net-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "small").write_bytes(b"x" * 100)
        (folder / "mib").write_bytes(b"x" * (1 << 20))
        backend, other, ours, theirs = free_port(), free_port(), free_port(), free_port()
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=backend, other=other))
        (folder / "haproxy.cfg").write_text(HAPROXY.format(port=theirs, backend=other))
        nginx = ["nginx", "-c", str(folder / "nginx.conf"), "-p", name, "-g", "user root;" if not os.geteuid() else ""]
        stack.enter_context(listening(nginx, backend, rest))
        panal = stack.enter_context(listening([sys.executable, __file__, str(ours), str(backend)], ours, proxy_core))
        haproxy = stack.enter_context(listening(["haproxy", "-f", str(folder / "haproxy.cfg")], theirs, proxy_core))
        os.sched_setaffinity(0, rest)
        yield header("Panal", "HAProxy", "TCP forwarding, requests/s")
        for label, path, connections, keep in (
            ("keep-alive, 64 connections", "/small", 64, True),
            ("keep-alive, 1,000 connections", "/small", 1000, True),
            ("new connections, 64 at a time", "/small", 64, False),
            ("1 MiB bodies, 64 connections", "/mib", 64, True),
        ):

            def load(pid: int, port: int, how: tuple[str, int, bool] = (path, connections, keep)) -> Load:
                return measured(
                    pid, lambda: requests(port, how[0], how[1], seconds if how[2] else min(seconds, 0.5), keep=how[2])
                )

            found = in_turn(
                {"Panal": lambda: load(panal, ours), "HAProxy": lambda: load(haproxy, theirs)},
                rounds,
            )
            yield from shown(label, found, "Panal", "HAProxy")
        os.sched_setaffinity(0, every)


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
