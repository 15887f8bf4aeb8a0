"""Cluster DNS and the company's DNS as processes before a real API server, asked as dig asks."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
import pytest

from panal.client import Client
from panal.resources import ENDPOINTSLICES, EVENTS, INGRESSES, SERVICES

from ...ports import free_port
from ..apiserver.http.conftest import ApiServer, make
from .conftest import lines
from .incluster import environment, grant

Object = dict[str, Any]


@pytest.fixture
def apiserver(tmp_path: Path) -> Iterator[ApiServer]:
    server = make(tmp_path)
    server.start()
    yield server
    server.stop(signal.SIGKILL)


@pytest.fixture
async def client(apiserver: ApiServer) -> AsyncIterator[Client]:
    async with Client.from_kubeconfig(apiserver.user("admin", "system:masters")) as found:
        yield found


@contextlib.asynccontextmanager
async def running(
    module: str, *options: str, env: dict[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, *options, env=env)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def dig(port: int, name: str, qtype: str = "A") -> list[str]:
    query = dns.message.make_query(name, qtype, use_edns=0)
    with contextlib.suppress(ConnectionRefusedError, dns.exception.Timeout):  # until it listens
        said = await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=0.5)
        return [line.split(" ", 1)[1] for line in lines(said.answer)]
    return []


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)


async def metrics(port: int) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as response:
        return await response.text()


async def ready(port: int) -> int:
    with contextlib.suppress(aiohttp.ClientConnectionError):
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/ready") as response:
            return response.status
    return 0


def corefile(folder: Path, port: int, readiness: int, more: str = "", pods: str = "insecure") -> Path:
    """Written as the kubelet writes volumes: a new file moved over the old one."""
    (folder / "new").write_text(
        f"""\
.:{port} {{
    errors
    ready :{readiness}
    prometheus :{readiness}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
       pods {pods}
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }}
    forward . 127.0.0.1:{free_port()}
    cache 30
    reload
    loadbalance
    {more}
}}
"""
    )
    return (folder / "new").rename(folder / "Corefile")


def service(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"name": "http", "port": 80}], **spec},
    }


async def test_services_have_names_as_soon_as_they_are_there_and_while_the_api_is_away(
    apiserver: ApiServer, client: Client, tmp_path: Path
) -> None:
    port, readiness = free_port(), free_port()
    options = ["--bind=127.0.0.1", "-conf", str(corefile(tmp_path, port, readiness))]
    env = await environment(apiserver, client, "coredns", "kube-system")
    async with running("panal.controlplane.dns", *options, env=env):

        async def is_ready() -> bool:
            return await ready(readiness) == 200

        await until(is_ready)
        await client.create(SERVICES, service("web", clusterIP="10.96.0.50"))

        async def has(name: str, *expected: str) -> bool:
            return await dig(port, f"{name}.default.svc.cluster.local") == list(expected)

        await until(lambda: has("web", "A 10.96.0.50"))
        await client.create(SERVICES, service("db", clusterIP="None"))
        await client.create(
            ENDPOINTSLICES,
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": "db-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "db"},
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["10.10.0.7"], "hostname": "db-0", "conditions": {"ready": True}}],
                "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
            },
        )  # fmt: skip
        await until(lambda: has("db-0.db", "A 10.10.0.7"))
        apiserver.stop(signal.SIGKILL)
        assert await has("db", "A 10.10.0.7")
        assert await is_ready()
        apiserver.start()
        await client.delete(SERVICES, "db", "default")
        await until(lambda: has("db"))
        query = dns.message.make_query("www.example.org", "A")
        said = await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=5)
        assert said.rcode() == dns.rcode.SERVFAIL  # nobody upstream, and no waiting for it


async def test_the_companys_dns_learns_the_hosts_of_ingresses_and_knows_its_own_without_the_cluster(
    apiserver: ApiServer, client: Client
) -> None:
    port = free_port()
    options = [
        f"--kubeconfig={apiserver.user('dns', 'panal:lan')}", "--address=127.0.0.1", f"--port={port}",
        "--domain=miempresa.com", "--record=menchupc=192.168.0.200", f"--forward=127.0.0.1:{free_port()}",
    ]  # fmt: skip
    await grant(client, apiserver.home)
    async with running("panal.controlplane.dns.external", *options):

        async def has(name: str, *expected: str) -> bool:
            return await dig(port, name) == list(expected)

        await until(lambda: has("menchupc.miempresa.com", "A 192.168.0.200"))
        backend = {"service": {"name": "web", "port": {"number": 80}}}
        await client.create(
            INGRESSES,
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {"name": "web", "namespace": "default"},
                "spec": {"rules": [{"host": "web1.miempresa.com"}], "defaultBackend": backend},
            },
        )
        status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.168.0.10"}]}}}
        await client.patch(INGRESSES, "web", status, "default", subresource="status")
        await until(lambda: has("web1.miempresa.com", "A 192.168.0.10"))
        apiserver.stop(signal.SIGKILL)
        assert await has("web1.miempresa.com", "A 192.168.0.10")
        assert await has("menchupc.miempresa.com", "A 192.168.0.200")
        apiserver.start()
        await client.delete(INGRESSES, "web", "default")
        await until(lambda: has("web1.miempresa.com"))


async def test_an_option_that_makes_no_sense_ends_the_process_with_a_sentence() -> None:
    for module, options, sentence in (
        ("panal.controlplane.dns", [], b"not in a pod ('KUBERNETES_SERVICE_HOST' is not set), and no --kubeconfig"),
        ("panal.proxy.ingress", [], b"not in a pod ('KUBERNETES_SERVICE_HOST' is not set), and no --kubeconfig"),
        ("panal.controlplane.dns", ["-dns.port=x"], b"-dns.port"),
        ("panal.controlplane.dns.external", ["--address=127.0.0.1", "--domain=a.com", "--record=x"], b"NAME=IP"),
    ):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *options, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
        assert process.returncode in (1, 2)
        assert sentence in said
        assert b"Traceback" not in said


async def test_a_changed_corefile_is_in_force_at_once_and_a_wrong_one_changes_nothing(
    apiserver: ApiServer, client: Client, tmp_path: Path
) -> None:
    port, readiness = free_port(), free_port()
    path = corefile(tmp_path, port, readiness)
    env = await environment(apiserver, client, "coredns", "kube-system")
    async with running("panal.controlplane.dns", "--bind=127.0.0.1", "-conf", str(path), env=env):
        pod = "10-10-0-5.default.pod.cluster.local"

        async def is_ready() -> bool:
            return await ready(readiness) == 200

        async def named() -> bool:
            return await dig(port, pod) == ["A 10.10.0.5"]

        async def nameless() -> bool:
            return not await dig(port, pod)

        await until(is_ready)
        await until(named)
        corefile(tmp_path, port, readiness, pods="disabled", more="dnssec")
        await until(nameless)
        corefile(tmp_path, port, readiness, more="nonsense")

        async def failed() -> bool:
            return "coredns_reload_failed_total 1" in await metrics(readiness)

        await until(failed)
        assert await nameless()
        assert await dig(port, "kubernetes.default.svc.cluster.local")

        async def told() -> bool:
            found = (await client.list(EVENTS, "kube-system"))["items"]
            said = {item["reason"]: item["message"] for item in found if item["involvedObject"]["name"] == "coredns"}
            return "line 14: dnssec" in said.get(
                "UnsupportedDirective", ""
            ) and "Unknown directive 'nonsense'" in said.get("ReloadFailed", "")

        await until(told)
        corefile(tmp_path, port, readiness)
        await until(named)


async def test_metrics_have_corednss_names(apiserver: ApiServer, client: Client, tmp_path: Path) -> None:
    port, readiness = free_port(), free_port()
    path = corefile(tmp_path, port, readiness)
    env = await environment(apiserver, client, "coredns", "kube-system")
    async with running("panal.controlplane.dns", "--bind=127.0.0.1", "-conf", str(path), env=env):

        async def has() -> bool:
            return bool(await dig(port, "kubernetes.default.svc.cluster.local"))

        await until(has)
        for _ in range(3):
            assert await has()
        await dig(port, "absent.default.svc.cluster.local")
        said = await metrics(readiness)
        labels = f'server="dns://:{port}",view="",zone="."'
        asked = re.search(
            rf'coredns_dns_requests_total\{{family="1",proto="udp",type="A",{re.escape(labels)}\}} (\d+)', said
        )
        assert asked is not None
        assert int(asked[1]) >= 5
        assert f'coredns_dns_responses_total{{plugin="kubernetes",rcode="NXDOMAIN",{labels}}}' in said
        assert f'coredns_dns_request_duration_seconds_bucket{{{labels},le="0.00025"}}' in said
        assert f'coredns_cache_misses_total{{server="dns://:{port}",view="",zones="."}} 0' in said


async def test_a_server_that_forwards_to_itself_ends_and_says_why(
    apiserver: ApiServer, client: Client, tmp_path: Path
) -> None:
    port = free_port()
    (tmp_path / "Corefile").write_text(f".:{port} {{\n forward . 127.0.0.1:{port}\n loop\n}}\n")
    env = await environment(apiserver, client, "coredns", "kube-system")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "panal.controlplane.dns", "--bind=127.0.0.1", "-conf", str(tmp_path / "Corefile"),
        env=env, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        _, said = await process.communicate()
    assert process.returncode == 1
    assert f'plugin/loop: Loop (-> :{port}) detected for zone "."'.encode() in said
