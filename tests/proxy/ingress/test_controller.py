"""The ingress controller as a process before a real API server: from an Ingress to an answered request."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from panal.client import Client
from panal.resources import ENDPOINTSLICES, EVENTS, INGRESSES, SECRETS, SERVICES

from ...controlplane.apiserver.http.conftest import ApiServer, make
from ...controlplane.dns.incluster import environment
from ...ports import free_port
from .conftest import OK, backend, saying

Object = dict[str, Any]

LOOPBACK: Object = {"network": "loopback", "arguments": ["--service-cluster-ip-range=127.96.0.0/16"]}
"""The network in which endpoints may be 127.x.y.z."""


@pytest.fixture(scope="module")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = make(tmp_path_factory.mktemp("apiserver"), **LOOPBACK)
    server.start()
    yield server
    server.stop(signal.SIGKILL)


class Controller:
    """The process under test."""

    def __init__(self, env: dict[str, str], *options: str) -> None:
        self.http, self.https, self.health = free_port(), free_port(), free_port()
        self._command = [
            sys.executable, "-m", "panal.proxy.ingress", "--bind=127.0.0.1",
            f"--http-port={self.http}", f"--https-port={self.https}", f"--health-port={self.health}", *options,
        ]  # fmt: skip
        self._env = env
        self.process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Controller:
        self.process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.PIPE, env=self._env
        )
        await until(self.ready)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        await self.process.communicate()
        assert self.process.returncode == 0

    async def ready(self) -> bool:
        return await self._get(f"http://127.0.0.1:{self.health}/healthz", None) == (200, "ok")

    async def get(self, host: str, path: str = "/") -> tuple[int, str]:
        return await self._get(f"http://127.0.0.1:{self.http}{path}", host)

    async def _get(self, url: str, host: str | None) -> tuple[int, str]:
        headers = {"Host": host} if host else {}
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
                return response.status, await response.text()
        return 0, ""

    async def subject(self, name: str) -> str:
        """The common name of the certificate for a server name."""
        from cryptography import x509

        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", self.https, ssl=context, server_hostname=name)
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return x509.load_der_x509_certificate(der).subject.rfc4514_string()


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


@pytest.fixture
async def client(apiserver: ApiServer) -> AsyncIterator[Client]:
    async with Client.from_kubeconfig(apiserver.user("admin", "system:masters")) as found:
        yield found


def service(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"name": "http", "port": 8080, "targetPort": 80}]},
    }


def endpoint_slice(name: str, *addresses: tuple[str, int]) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [host], "conditions": {"ready": True}} for host, _ in addresses],
        "ports": [{"name": "http", "port": addresses[0][1], "protocol": "TCP"}] if addresses else [],
    }


def ingress(name: str, host: str, **spec: Any) -> Object:
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"name": "http"}}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ingressClassName": "panal", "rules": [{"host": host, "http": {"paths": [path]}}], **spec},
    }


async def test_an_ingress_is_served_published_and_followed(apiserver: ApiServer, client: Client) -> None:
    config = await environment(apiserver, client, "ingress", "ingress")
    async with (
        backend(saying(OK)) as address,
        Controller(config, "--publish-status-address=192.168.0.10") as controller,
    ):
        assert (await controller.get("web1.miempresa.com"))[0] == 404
        await client.create(SERVICES, service("web"))
        await client.create(INGRESSES, ingress("web", "web1.miempresa.com"))

        async def answered(code: int) -> bool:
            return (await controller.get("web1.miempresa.com"))[0] == code

        await until(lambda: answered(503))
        await client.create(ENDPOINTSLICES, endpoint_slice("web", address))
        await until(lambda: answered(200))

        async def published() -> bool:
            found = await client.get(INGRESSES, "web", "default")
            return bool(found["status"].get("loadBalancer", {}).get("ingress") == [{"ip": "192.168.0.10"}])

        await until(published)

        async def told() -> bool:
            events = await client.list(EVENTS, "default")
            return any(
                (event["reason"], event["message"]) == ("Sync", "Scheduled for sync") for event in events["items"]
            )

        await until(told)
        await client.delete(INGRESSES, "web", "default")
        await until(lambda: answered(404))


async def test_certificates_come_and_change_without_a_restart(apiserver: ApiServer, client: Client) -> None:
    config = await environment(apiserver, client, "ingress", "ingress")
    now = datetime.datetime.now(datetime.UTC)

    def secret(subject: str) -> Object:
        pair = apiserver.authority.server(subject, ["secure.miempresa.com"], now)
        data = {"tls.crt": pair.certificate, "tls.key": pair.key}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": "cert", "namespace": "default"},
            "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
        }

    async with Controller(config) as controller:
        assert "Fake Certificate" in await controller.subject("secure.miempresa.com")
        tls = [{"hosts": ["secure.miempresa.com"], "secretName": "cert"}]
        await client.create(INGRESSES, ingress("secure", "secure.miempresa.com", tls=tls))

        async def named(subject: str) -> bool:
            return f"CN={subject}" in await controller.subject("secure.miempresa.com")

        await client.create(SECRETS, secret("first"))
        await until(lambda: named("first"))
        await client.patch(SECRETS, "cert", {"data": secret("second")["data"]}, "default")
        await until(lambda: named("second"))
        assert "Fake Certificate" in await controller.subject("other.miempresa.com")
    await client.delete(INGRESSES, "secure", "default")


async def test_it_goes_on_while_the_api_server_is_away_and_catches_up_after(tmp_path: Path) -> None:
    server = make(tmp_path, **LOOPBACK)
    server.start()
    client = Client.from_kubeconfig(server.user("admin", "system:masters"))
    try:
        env = await environment(server, client, "ingress", "ingress")
        async with client, backend(saying(OK)) as address, Controller(env) as controller:
            await client.create(SERVICES, service("web"))
            await client.create(ENDPOINTSLICES, endpoint_slice("web", address))
            await client.create(INGRESSES, ingress("web", "a.com"))

            async def answers(host: str) -> bool:
                return (await controller.get(host))[0] == 200

            await until(lambda: answers("a.com"))
            server.stop(signal.SIGKILL)
            assert await answers("a.com")
            server.start()
            await client.create(
                INGRESSES, {**ingress("web", "b.com"), "metadata": {"name": "b", "namespace": "default"}}
            )
            await until(lambda: answers("b.com"))
    finally:
        server.stop(signal.SIGKILL)
