"""A real API server process with a PKI of its own on an ephemeral port, for one test module at a time."""

from __future__ import annotations

import datetime
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from panal.kubeconfig import document
from panal.pki import Authority, Pair

STARTED = re.compile(r"serving on \S+:(\d+) after")


@dataclass
class ApiServer:
    """A server process that can be killed and started again on the same data and port."""

    home: Path
    authority: Authority
    process: subprocess.Popen[str] | None = None
    port: int = 0
    network: str = ""
    arguments: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it listens."""
        pki = self.home / "pki"
        environment = {**os.environ, **({"PANAL_NETWORK": self.network} if self.network else {})}
        with open(self.home / "log", "a") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "panal.controlplane.apiserver",
                    "--advertise-address=127.0.0.1", "--bind-address=127.0.0.1", f"--secure-port={self.port}",
                    f"--data-dir={self.home}/store", f"--client-ca-file={pki}/ca.crt",
                    f"--tls-cert-file={pki}/server.crt", f"--tls-private-key-file={pki}/server.key",
                    f"--service-account-key-file={pki}/sa.pub", f"--service-account-signing-key-file={pki}/sa.key",
                    f"--kubelet-client-certificate={pki}/admin.crt", f"--kubelet-client-key={pki}/admin.key",
                    f"--kubelet-certificate-authority={pki}/ca.crt", *self.arguments,
                ],
                stderr=log, env=environment, text=True,
            )  # fmt: skip
        deadline = time.monotonic() + 20
        while (found := STARTED.findall((self.home / "log").read_text())) == [] or not self._answers(int(found[-1])):
            assert self.process.poll() is None, (self.home / "log").read_text()
            assert time.monotonic() < deadline, (self.home / "log").read_text()
            time.sleep(0.01)
        self.port = int(found[-1])

    def _answers(self, port: int) -> bool:
        import socket

        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def user(self, name: str, *groups: str) -> Path:
        """A kubeconfig for a user with these groups."""
        pair = self.authority.client(name, groups, datetime.datetime.now(datetime.UTC))
        path = self.home / f"{name.replace(':', '-')}.conf"
        path.write_bytes(
            orjson.dumps(
                document("test", server=self.url, ca=self.authority.certificate,
                         certificate=pair.certificate, key=pair.key, user=name)
            )
        )  # fmt: skip
        path.chmod(0o600)
        return path

    def ssl(self, name: str = "admin", *groups: str) -> ssl.SSLContext:
        """A client's TLS context for a user."""
        pair = self.authority.client(name, groups or ("system:masters",), datetime.datetime.now(datetime.UTC))
        certificate = self.home / f"{name.replace(':', '-')}.pem"
        certificate.write_bytes(pair.certificate + pair.key)
        context = ssl.create_default_context(cadata=self.authority.certificate.decode())
        context.load_cert_chain(certificate)
        return context

    def log(self) -> str:
        return (self.home / "log").read_text()


def _write(folder: Path, name: str, pair: Pair) -> None:
    (folder / f"{name}.crt").write_bytes(pair.certificate)
    (folder / f"{name}.key").write_bytes(pair.key)


def make(home: Path, **options: Any) -> ApiServer:
    """A server with a new PKI, not started."""
    now = datetime.datetime.now(datetime.UTC)
    authority = Authority.create("test", now)
    pki = home / "pki"
    pki.mkdir()
    _write(pki, "ca", authority.pair)
    _write(pki, "server", authority.server("kube-apiserver", ["127.0.0.1", "localhost"], now))
    _write(pki, "admin", authority.client("admin", ["system:masters"], now))
    key = ec.generate_private_key(ec.SECP256R1())
    (pki / "sa.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (pki / "sa.pub").write_bytes(public)
    return ApiServer(home, authority, **options)


@pytest.fixture(scope="module")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One running server for a module's tests; use namespaces of your own."""
    server = make(tmp_path_factory.mktemp("apiserver"))
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        assert server.stop() == 0, server.log()


@pytest.fixture
def fresh_apiserver(tmp_path: Path) -> Iterator[ApiServer]:
    """A server of the test's own, not started yet."""
    server = make(tmp_path)
    yield server
    if server.process is not None and server.process.poll() is None:
        server.stop(signal.SIGKILL)
