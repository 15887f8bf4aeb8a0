"""pods/proxy and services/proxy over a real server: what clients send arrives, and answers come back as they are."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from panal.controlplane.apiserver.proxying import endpoints, paths, split

from .conftest import ApiServer, make
from .recorded import Recorder

PODS = "/api/v1/namespaces/default/pods"
MERGE = "application/merge-patch+json"


class Echo(BaseHTTPRequestHandler):
    """Tells what was asked; /elsewhere redirects; an upgrade is granted and echoes one line."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        if self.headers.get("Upgrade") == "echo":
            self.send_response(101)
            self.send_header("Upgrade", "echo")
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            self.wfile.write(b"heard " + self.rfile.readline())
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        moved = self.path == "/elsewhere"
        told = orjson.dumps({"method": self.command, "path": self.path, "body": body.decode(),
                             "headers": {name.lower(): value for name, value in self.headers.items()}})  # fmt: skip
        page = self.path == "/page"
        if page:
            told = b'<a href="/rewriteme">test</a>'
        self.send_response(302 if moved else 418)
        if moved:
            self.send_header("Location", "/login?next=1")
        self.send_header("Content-Type", "text/html; charset=utf-8" if page else "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def backend() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """In the loopback network, where pods have this machine's addresses."""
    made = make(
        tmp_path_factory.mktemp("proxy"), network="loopback", arguments=["--service-cluster-ip-range=127.96.0.0/12"]
    )
    made.start()
    yield made
    assert made.stop() == 0, made.log()


@pytest.fixture(scope="module")
def client(server: ApiServer, backend: int) -> Iterator[Recorder]:
    made = Recorder(server)
    made.send("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    ports = [{"containerPort": backend}]
    pod = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "c", "image": "i", "ports": ports}]}}
    assert made.send("POST", PODS, pod).code == 201
    status = {"status": {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}}
    assert made.send("PATCH", f"{PODS}/web/status", status, content_type=MERGE).code == 200
    service = {"metadata": {"name": "shop"}, "spec": {"ports": [{"name": "http", "port": 80, "targetPort": backend}]}}
    assert made.send("POST", "/api/v1/namespaces/default/services", service).code == 201
    slice_ = {
        "metadata": {"name": "shop-1", "labels": {"kubernetes.io/service-name": "shop"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": backend, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
    }
    path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    assert made.send("POST", path, slice_).code == 201
    yield made
    made.close()


def test_a_pod_answers_at_its_first_port_with_its_own_code_and_body(client: Recorder) -> None:
    reply = client.send("POST", f"{PODS}/web/proxy/a%2Fb/c?x=1&watch=true", {"say": "hello"})
    assert reply.code == 418
    told = reply.body
    assert (told["method"], told["path"], told["body"]) == ("POST", "/a%2Fb/c?x=1&watch=true", '{"say":"hello"}')
    assert told["headers"]["x-forwarded-uri"] == f"{PODS}/web/proxy/a%2Fb/c"
    assert told["headers"]["x-forwarded-proto"] == "https"
    assert told["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert told["headers"]["user-agent"] == "panal/1"


def test_who_the_client_is_stays_with_the_server(client: Recorder, server: ApiServer, backend: int) -> None:
    import http.client

    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=server.ssl(), timeout=20)
    connection.request("GET", f"{PODS}/http:web:{backend}/proxy/", headers={"Impersonate-User": "admin",
                       "Impersonate-Group": "system:masters", "Cookie": "a=b"})  # fmt: skip
    told = orjson.loads(connection.getresponse().read())
    connection.close()
    assert not [name for name in told["headers"] if name.startswith(("impersonate", "authorization"))]
    assert told["headers"]["cookie"] == "a=b"


@pytest.mark.parametrize("name", ["shop:http", "shop:80", "http:shop:http"])
def test_a_service_is_asked_through_its_endpoints(client: Recorder, name: str) -> None:
    reply = client.send("GET", f"/api/v1/namespaces/default/services/{name}/proxy/items")
    assert (reply.code, reply.body["path"]) == (418, "/items")


def test_redirections_lead_through_the_proxy(server: ApiServer, client: Recorder) -> None:
    import http.client

    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=server.ssl(), timeout=20)
    base = "/api/v1/namespaces/default/services/shop:http/proxy"
    found = []
    for path in (base, f"{base}/elsewhere"):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        found.append((answer.status, answer.getheader("Location")))
    connection.close()
    assert found == [(301, f"{base}/"), (302, f"{base}/login?next=1")]


def test_a_pages_links_lead_through_the_proxy(server: ApiServer, client: Recorder) -> None:
    import http.client

    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=server.ssl(), timeout=20)
    connection.request("GET", f"{PODS}/web/proxy/page")
    assert connection.getresponse().read().decode() == f'<a href="{PODS}/web/proxy/rewriteme">test</a>'
    connection.close()


def test_an_upgraded_connection_is_joined(server: ApiServer, client: Recorder) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 20) as plain:
        stream = server.ssl().wrap_socket(plain, server_hostname="127.0.0.1")
        stream.sendall(
            f"GET {PODS}/web/proxy/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n".encode()
        )
        file = stream.makefile("rb")
        assert file.readline().split()[1] == b"101"
        while file.readline() != b"\r\n":
            pass
        stream.sendall(b"hello\n")
        assert file.readline() == b"heard hello\n"
        stream.close()


def test_what_cannot_be_reached_is_told_in_kubernetes_words(client: Recorder) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        reply = client.send("GET", f"{PODS}/web:{port}/proxy/")
    assert (reply.code, reply.body["reason"], reply.body["message"]) == (
        503,
        "ServiceUnavailable",
        f"error trying to reach service: dial tcp 127.0.0.1:{port}: connect: connection refused",
    )
    services = "/api/v1/namespaces/default/services"
    told = {name: client.send("GET", f"{services}/{name}/proxy/") for name in ("shop:81", "shop:metrics", "none:80")}
    assert [(reply.code, reply.body["message"]) for reply in told.values()] == [
        (503, 'no service port 81 found for service "shop"'),
        (503, 'no endpoints available for service "shop"'),
        (404, 'services "none" not found'),
    ]


def test_names_say_scheme_and_port() -> None:
    assert [split(name) for name in ("a", "a:1", "https:a:1", ":a:", "ftp:a:1", ":1", "a:b:c:d")] == [
        ("", "a", ""), ("", "a", "1"), ("https", "a", "1"), ("", "a", ""), None, None, None,
    ]  # fmt: skip
    assert paths("/api/v1/nodes/n/proxy/metrics/", False) == ("/api/v1/nodes/n/proxy", "/metrics/")
    assert paths("/api/v1/nodes/n/proxy", False) == ("/api/v1/nodes/n/proxy", "")


def test_only_ready_endpoints_are_asked() -> None:
    ends = [{"addresses": ["10.0.0.1"], "conditions": {"ready": False}}, {"addresses": ["10.0.0.2"]}]
    found = endpoints({"ports": [{"name": "", "port": 1}, {"name": "x", "port": 2}], "endpoints": ends}, "")
    assert found == [("10.0.0.2", {"name": "", "port": 1})]
