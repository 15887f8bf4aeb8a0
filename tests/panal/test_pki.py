"""The cluster's certificates: checked by OpenSSL's own rules, through a real handshake."""

import asyncio
import datetime
import ssl
from pathlib import Path

import orjson
import pytest

from panal import pki
from panal.client import tls_context
from panal.kubeconfig import access
from panal.paths import ClusterPaths

from ..onenode import ONE_NODE

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> ClusterPaths:
    paths = ClusterPaths(tmp_path_factory.mktemp("cluster"))
    pki.create(ONE_NODE, paths, NOW)
    return paths


def test_every_key_is_private(paths: ClusterPaths) -> None:
    secret = [
        path
        for path in paths.root.rglob("*")
        if path.suffix == ".key" or path.suffix == ".conf" or path.name == "kubeconfig"
    ]
    assert len(secret) >= 10
    assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}


async def _handshake(paths: ClusterPaths, kubeconfig: Path) -> dict[str, object]:
    """Connect to a server with the API server's certificate as the kubeconfig's user; how the server sees its peer."""
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(paths.pki / "ca.crt"))
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.load_cert_chain(paths.pki / "apiserver.crt", paths.pki / "apiserver.key")
    seen: dict[str, object] = {}
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.update(writer.get_extra_info("peercert"))
        done.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls_context(access(kubeconfig)))
        await done.wait()
        writer.close()
        await writer.wait_closed()
    return seen


async def test_a_node_is_known_by_its_certificate(paths: ClusterPaths) -> None:
    seen = await _handshake(paths, paths.node("nodo1").kubeconfig)
    assert seen["subject"] == ((("organizationName", "system:nodes"),), (("commonName", "system:node:nodo1"),))


async def test_the_administrator_is_a_master(paths: ClusterPaths) -> None:
    seen = await _handshake(paths, paths.kubeconfig)
    assert (("organizationName", "system:masters"),) in seen["subject"]  # type: ignore[operator]


def test_the_administrators_kubeconfig_leads_through_this_machine(paths: ClusterPaths) -> None:
    document = orjson.loads(paths.kubeconfig.read_bytes())
    assert document["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert document["current-context"] == "panal"


def test_contexts_are_told_apart_by_the_clusters_name() -> None:
    assert pki.context_name("panal") == "panal"
    assert pki.context_name("lab") == "panal-lab"
