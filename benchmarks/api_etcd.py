"""etcd beside the API server, asked by the same raw client: HTTP/1.1 over TLS through etcd's own JSON gateway.

The same bytes are stored, under the condition that the key is new, and fsynced; but etcd decodes, defaults, validates
and admits nothing, and its gateway costs it something that gRPC would not. `./scripts/clients.sh etcd` brings it.
"""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from panal import tools


class Etcd:
    """A running etcd, and the requests to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._names = iter(range(10**9))

    def put(self, value: bytes) -> bytes:
        """Store the value under a new key, if it is new."""
        key = _text(f"/registry/pods/default/p{next(self._names)}".encode())
        compare = {"key": key, "target": "CREATE", "create_revision": "0"}
        put = {"request_put": {"key": key, "value": _text(value)}}
        return _request("/v3/kv/txn", {"compare": [compare], "success": [put]})

    def get(self, number: int) -> bytes:
        """Read what was put as that number."""
        return _request("/v3/kv/range", {"key": _text(f"/registry/pods/default/p{number}".encode())})


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _request(path: str, body: object) -> bytes:
    data = orjson.dumps(body)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


@contextmanager
def running(home: Path, pki: Path) -> Iterator[Etcd | None]:
    """etcd with its data in `home` and the certificate of `pki`/server.crt; None where there is no etcd."""
    program = tools.which("etcd", os.environ)
    if program is None:
        yield None
        return
    ports = _free_ports(2)
    here, peers = f"https://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
    with open(home / "etcd.log", "w") as log:
        process = subprocess.Popen(
            [program, f"--data-dir={home}/etcd", f"--listen-client-urls={here}", f"--advertise-client-urls={here}",
             f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}",
             f"--initial-cluster=default={peers}", f"--cert-file={pki}/server.crt", f"--key-file={pki}/server.key",
             "--log-level=error"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 20
        while not _listens(ports[0]):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((home / "etcd.log").read_text())
            time.sleep(0.02)
        yield Etcd(ports[0])
    finally:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
