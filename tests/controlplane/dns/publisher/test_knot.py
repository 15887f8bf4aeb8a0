"""The publisher as a process between a real API server and a real Knot, which takes signed updates only."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.message
import pytest

from panal.bundledkinds import definitions
from panal.client import Client
from panal.controlplane.dns.external.endpoints import Endpoint
from panal.controlplane.dns.publisher.changes import Changes
from panal.controlplane.dns.publisher.rfc2136 import Key, Refused, Server
from panal.customkinds import DNS_ENDPOINTS, ROUTES
from panal.errors import NotFound
from panal.resources import INGRESSES, NAMESPACES, SERVICES, resource

from ....ports import free_port
from ...apiserver.http.conftest import ApiServer, make

ROOT = Path(__file__).parents[4]
PROGRAM = shutil.which("knotd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:{ROOT / '.tools' / 'bin'}")
pytestmark = pytest.mark.skipif(
    PROGRAM is None and not os.environ.get("CI"), reason="needs knotd: ./scripts/tools.sh knotd"
)
SECRET = base64.b64encode(b"a key of thirty-two bytes, no less").decode()
KEY = Key("panal", SECRET)

CONF = """
server:
    listen: 127.0.0.1@{port}
    rundir: {folder}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: {folder}
key:
  - id: panal
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: ours
    key: panal
    action: [update, transfer]
zone:
  - domain: example.org
    file: {folder}/example.org.zone
    acl: ours
    zonefile-sync: -1
    journal-content: none
"""
ZONE = """
$ORIGIN example.org.
@ 300 IN SOA ns hostmaster 1 3600 600 86400 300
@ 300 IN NS ns
ns 300 IN A 127.0.0.1
www 300 IN A 10.9.9.9
"""


class Knot:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        text = CONF.format(port=self.port, folder=folder, secret=SECRET)
        (folder / "knot.conf").write_text(text)
        (folder / "example.org.zone").write_text(ZONE)
        with open(folder / "log", "wb") as log:
            command = [PROGRAM or "knotd", "-c", str(folder / "knot.conf")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def server(self, key: Key | None = KEY) -> Server:
        return Server("127.0.0.1", self.port, "example.org", key)

    async def ask(self, name: str, kind: str = "A") -> list[str]:
        """The answer's data; empty where there is none."""
        query = dns.message.make_query(name, kind)
        assert self.process.poll() is None, (self.folder / "log").read_text()
        answer = await dns.asyncquery.udp(query, "127.0.0.1", port=self.port, timeout=0.3)
        return sorted(item.to_text() for rrset in answer.answer for item in rrset)


@pytest.fixture
async def knot(tmp_path: Path) -> AsyncIterator[Knot]:
    found = Knot(tmp_path)
    try:
        await until(lambda: found.ask("ns.example.org"), 15)
        yield found
    finally:
        found.process.send_signal(signal.SIGTERM)
        found.process.wait(10)


async def until(check: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        problem: object = None
        try:
            if result := await check():
                return result
        except (OSError, dns.exception.DNSException) as error:
            problem = error
        assert time.monotonic() < deadline, problem
        await asyncio.sleep(0.05)


async def test_a_zone_is_read_by_transfer_and_written_by_signed_updates(knot: Knot) -> None:
    server = knot.server()
    before = await server.read()
    assert before.records[("www.example.org", "A")] == (("10.9.9.9",), 300)
    long = "x" * 300 + ' "quoted" \\ ñ'
    put = [
        Endpoint("a.example.org", "A", ("10.0.0.1", "10.0.0.2"), 60),
        Endpoint("alias.example.org", "CNAME", ("a.example.org",), 60),
        Endpoint("*.apps.example.org", "A", ("10.0.0.3",), 60),
        Endpoint("t.example.org", "TXT", (long,), 60),
    ]
    await server.write(Changes(put=put))
    after = await server.read()
    for item in put:
        assert after.records[(item.name, item.type)] == (item.targets, item.ttl)
    assert await knot.ask("any.apps.example.org") == ["10.0.0.3"]
    await server.write(Changes(delete=put))
    assert await server.read() == before


WRONG = [None, Key("panal", base64.b64encode(b"another key").decode()), Key("stranger", SECRET)]


async def test_who_has_not_the_key_neither_reads_nor_writes(knot: Knot) -> None:
    for key in WRONG:
        server = knot.server(key)
        with pytest.raises(Refused, match=r"transfer of example\.org"):
            await server.read()
        with pytest.raises(Refused, match=r"update of example\.org"):
            await server.write(Changes(put=[Endpoint("evil.example.org", "A", ("10.6.6.6",), 60)]))
        assert await knot.ask("evil.example.org") == []


@pytest.fixture(scope="module")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = make(tmp_path_factory.mktemp("apiserver"))
    server.start()
    yield server
    server.stop(signal.SIGKILL)


def ingress(name: str, host: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"rules": [{"host": host}]},
    }


BALANCED = {"status": {"loadBalancer": {"ingress": [{"ip": "192.168.0.10"}]}}}


async def test_every_source_reaches_the_server_and_only_what_is_ours_leaves_it(
    apiserver: ApiServer, knot: Knot
) -> None:
    admin = apiserver.user("admin", "system:masters")
    command = [
        sys.executable, "-m", "panal.controlplane.dns.publisher", f"--kubeconfig={admin}", "--source=ingress",
        "--source=service", "--source=openshift-route", "--source=crd", "--rfc2136-host=127.0.0.1",
        f"--rfc2136-port={knot.port}", "--rfc2136-zone=example.org", "--rfc2136-tsig-keyname=panal",
        "--txt-owner-id=company", "--rfc2136-min-ttl=60s",
    ]  # fmt: skip
    env = {**os.environ, "EXTERNAL_DNS_RFC2136_TSIG_SECRET": SECRET}
    publisher = await asyncio.create_subprocess_exec(*command, env=env)
    try:
        async with Client.from_kubeconfig(admin) as client:
            await _objects(client)
            await until(lambda: knot.ask("web.example.org"))
            assert await knot.ask("web.example.org") == ["192.168.0.10"]
            assert await until(lambda: knot.ask("svc.example.org")) == ["192.168.0.10"]
            assert await until(lambda: knot.ask("listed.example.org")) == ["10.1.1.1", "10.1.1.2"]
            assert "router.example.org." in await until(lambda: knot.ask("route.example.org", "CNAME"))
            owner = (await knot.ask("a-web.example.org", "TXT"))[0]
            assert owner == (
                '"heritage=external-dns,external-dns/owner=company,external-dns/resource=ingress/default/web"'
            )
            await client.delete(INGRESSES, "web", "default")

            async def gone() -> bool:
                return await knot.ask("web.example.org") == [] and await knot.ask("a-web.example.org", "TXT") == []

            await until(gone)
            assert await knot.ask("www.example.org") == ["10.9.9.9"]  # an Ingress asked for it, too
    finally:
        publisher.send_signal(signal.SIGTERM)
        assert await publisher.wait() == 0


async def _objects(client: Client) -> None:
    for definition in definitions():
        kind = NAMESPACES if definition["kind"] == "Namespace" else resource("customresourcedefinitions")
        await client.create(kind, definition)
    for name, host in (("web", "web.example.org"), ("www", "www.example.org"), ("far", "web.other.org")):
        await client.create(INGRESSES, ingress(name, host))
        await client.patch(INGRESSES, name, BALANCED, "default", subresource="status")
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "svc",
            "namespace": "default",
            "annotations": {"external-dns.alpha.kubernetes.io/hostname": "svc.example.org"},
        },
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    }
    await client.create(SERVICES, service)
    await client.patch(SERVICES, "svc", BALANCED, "default", subresource="status")
    listed = {"dnsName": "listed.example.org", "recordType": "A", "targets": ["10.1.1.1", "10.1.1.2"]}
    endpoint = {
        "apiVersion": "externaldns.k8s.io/v1alpha1",
        "kind": "DNSEndpoint",
        "metadata": {"name": "listed", "namespace": "default"},
        "spec": {"endpoints": [listed]},
    }
    route = {
        "apiVersion": "route.openshift.io/v1",
        "kind": "Route",
        "metadata": {"name": "route", "namespace": "default"},
        "spec": {"host": "route.example.org", "to": {"kind": "Service", "name": "svc"}},
    }
    part = {
        "host": "route.example.org",
        "routerName": "default",
        "routerCanonicalHostname": "router.example.org",
        "conditions": [{"type": "Admitted", "status": "True"}],
    }

    async def made() -> bool:
        try:
            await client.create(DNS_ENDPOINTS, endpoint)
            await client.create(ROUTES, route)
        except NotFound:
            return False
        return True

    await until(made)
    await client.patch(ROUTES, "route", {"status": {"ingress": [part]}}, "default", subresource="status")
