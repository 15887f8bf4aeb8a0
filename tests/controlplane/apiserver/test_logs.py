"""Logs: which container is meant, and how the kubelet's answer reaches the client, over real TLS."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import aiohttp
import pytest

from panal.controlplane.apiserver.logs import choose
from panal.errors import BadRequest

from .http.conftest import ApiServer, apiserver
from .http.recorded import Recorder

__all__ = ["apiserver"]


def pod(*names: str, **fields: Any) -> dict[str, Any]:
    annotations = fields.pop("annotations", {})
    inits = [{"name": each} for each in fields.pop("inits", ())]
    return {"metadata": {"name": "web", "annotations": annotations},
            "spec": {"containers": [{"name": each} for each in names], "initContainers": inits}}  # fmt: skip


def test_the_only_container_the_preferred_or_the_one_asked_for() -> None:
    assert choose(pod("c"), "") == "c"
    assert choose(pod("a", "b", inits=["i"]), "i") == "i"
    preferred = {"kubectl.kubernetes.io/default-container": "b"}
    assert choose(pod("a", "b", annotations=preferred), "") == "b"


def test_who_does_not_say_which_of_several_is_asked_to() -> None:
    with pytest.raises(BadRequest) as caught:
        choose(pod("a", "b", inits=["i"]), "")
    assert caught.value.message == (
        "a container name must be specified for pod web, choose one of: [a b] or one of the init containers: [i]"
    )
    with pytest.raises(BadRequest, match="container x is not valid for pod web"):
        choose(pod("a"), "x")


class Kubelet(BaseHTTPRequestHandler):
    """Answers as a kubelet does, and keeps what it was asked."""

    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        Kubelet.asked.append(self.path)
        found = "/gone/" not in self.path
        body = b"one\ntwo\n" if found else b'container "c" in pod "gone" is waiting to start: ContainerCreating'
        self.send_response(200 if found else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def kubelet(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A kubelet's port, with a certificate of the cluster's authority, that wants one of the API server."""
    folder: Path = tmp_path_factory.mktemp("kubelet")
    pair = apiserver.authority.server("system:node:n", ["127.0.0.1"], datetime.datetime.now(datetime.UTC))
    (folder / "both.pem").write_bytes(pair.certificate + pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=apiserver.authority.certificate.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "both.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Kubelet)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def client(apiserver: ApiServer, kubelet: int) -> Iterator[Recorder]:
    made = Recorder(apiserver)
    made.send("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    status = {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
              "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet}}}  # fmt: skip
    assert made.send("POST", "/api/v1/nodes", {"metadata": {"name": "n"}, "status": status}).code == 201
    for name in ("web", "gone"):
        spec = {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}
        body = {"metadata": {"name": name}, "spec": spec}
        assert made.send("POST", "/api/v1/namespaces/default/pods", body).code == 201
    yield made
    made.close()


def test_a_log_comes_from_the_kubelet_with_the_clients_options(client: Recorder) -> None:
    reply = client.send("GET", "/api/v1/namespaces/default/pods/web/log?tailLines=2&timestamps=true&pretty=1")
    assert (reply.code, reply.body) == (200, {"text": "one\ntwo\n"})
    assert Kubelet.asked[-1] == "/containerLogs/default/web/c?timestamps=true&tailLines=2"


def test_what_the_kubelet_refuses_is_refused_in_its_words(client: Recorder) -> None:
    reply = client.send("GET", "/api/v1/namespaces/default/pods/gone/log")
    assert (reply.code, reply.body["message"]) == (
        400, 'container "c" in pod "gone" is waiting to start: ContainerCreating',
    )  # fmt: skip


def test_a_pod_without_a_node_has_no_log_yet(client: Recorder) -> None:
    body = {"metadata": {"name": "pending"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    client.send("POST", "/api/v1/namespaces/default/pods", body)
    reply = client.send("GET", "/api/v1/namespaces/default/pods/pending/log")
    assert (reply.code, reply.body["message"]) == (400, "pod pending does not have a host assigned")


async def test_a_log_comes_over_a_websocket_to_browsers(apiserver: ApiServer, client: Recorder) -> None:
    context = apiserver.ssl()
    url = f"{apiserver.url}/api/v1/namespaces/default/pods/web/log"
    async with aiohttp.ClientSession() as session:
        for protocol, told in (("binary.k8s.io", b"one\ntwo\n"), ("base64.binary.k8s.io", b"b25lCnR3bwo=")):
            async with session.ws_connect(url, protocols=[protocol], ssl=context) as socket:
                assert socket.protocol == protocol
                heard = [message.data async for message in socket]
            assert b"".join(each if isinstance(each, bytes) else each.encode() for each in heard) == told
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url, protocols=["chat"], ssl=context)
