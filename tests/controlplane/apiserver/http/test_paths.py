"""What is no resource, what is there from the beginning, and the forms of answers on the wire."""

from __future__ import annotations

import gzip
import http.client
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
import yaml

from panal.controlplane.apiserver import edge, options
from panal.resources import resource

from .conftest import ApiServer
from .recorded import Recorder

BOOTSTRAP = Path(options.__file__).parent / "data" / "bootstrap-objects.json"


@pytest.fixture(scope="module")
def client(apiserver: ApiServer) -> Iterator[Recorder]:
    made = Recorder(apiserver)
    yield made
    made.close()


def raw(server: ApiServer, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    where = urlsplit(server.url)
    connection = http.client.HTTPSConnection(where.hostname or "", where.port, context=server.ssl(), timeout=20)
    try:
        connection.request("GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_a_healthy_server_says_ok_to_everybody(apiserver: ApiServer, client: Recorder, path: str) -> None:
    assert client.send("GET", path).body == {"text": "ok"}
    assert client.send("GET", f"{path}?verbose").body["text"].endswith(f"{path[1:]} check passed\n")


def test_the_keys_of_tokens_are_published(client: Recorder) -> None:
    configuration = client.send("GET", "/.well-known/openid-configuration").body
    assert configuration["jwks_uri"].endswith("/openid/v1/jwks")
    assert (
        client.send("GET", "/openid/v1/jwks").body["keys"][0]["alg"]
        in configuration["id_token_signing_alg_values_supported"]
    )


def test_a_new_cluster_has_what_a_real_one_has(client: Recorder) -> None:
    for plural, objects in orjson.loads(BOOTSTRAP.read_bytes())["objects"].items():
        kind = resource(plural)
        for wanted in objects:
            metadata = wanted["metadata"]
            namespace = f"/namespaces/{metadata['namespace']}" if kind.namespaced else ""
            found = client.send("GET", f"{kind.root}{namespace}/{plural}/{metadata['name']}").body
            assert found.get("rules", ()) == wanted.get("rules", ()), metadata["name"]
            assert found["metadata"].get("labels", {}) == metadata.get("labels", {})


def test_a_known_document_is_not_sent_again(apiserver: ApiServer) -> None:
    _, headers, index = raw(apiserver, "/openapi/v3")
    path = orjson.loads(index)["paths"]["apis/apps/v1"]["serverRelativeURL"]
    status, headers, body = raw(apiserver, path)
    assert (status, headers["Cache-Control"]) == (200, "public, immutable")
    assert orjson.loads(body)["openapi"] == "3.0.0"
    assert raw(apiserver, path, If_None_Match=headers["ETag"])[0] == 304


def test_large_answers_are_compressed_for_who_can_read_them(apiserver: ApiServer) -> None:
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    _, headers, body = raw(apiserver, "/openapi/v2", Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert orjson.loads(gzip.decompress(body))["swagger"] == "2.0"
    assert "Content-Encoding" not in raw(apiserver, f"{path}?limit=1", Accept_Encoding="gzip")[1]


def test_yaml_for_who_asks_for_it(apiserver: ApiServer) -> None:
    _, headers, body = raw(apiserver, "/api/v1/namespaces/default", Accept="application/yaml")
    assert headers["Content-Type"] == "application/yaml"
    assert yaml.safe_load(body)["metadata"]["name"] == "default"


def test_a_list_as_kubectl_asks_for_it(apiserver: ApiServer) -> None:
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    _, _, body = raw(apiserver, "/api/v1/namespaces", Accept=accept)
    table = orjson.loads(body)
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Status", "Age"]
    assert ["default", "Active"] in [row["cells"][:2] for row in table["rows"]]


def test_what_nobody_serves_is_not_found_and_not_allowed(client: Recorder) -> None:
    assert client.send("GET", "/nada").code == 404
    assert client.send("DELETE", "/version").code == 404
    assert client.send("POST", "/api/v1/namespaces/default/pods/web", {}).code == 405
    assert client.send("PUT", "/api/v1/componentstatuses/x", {}).code == 405
    assert client.send("GET", "/api/v1/namespaces/default/nodes").code == 404


def test_the_command_line_is_that_of_its_namesake() -> None:
    argv = ["--advertise-address=10.0.0.1", "--data-dir=d"]
    argv += [f"--{name}=f" for name in ("client-ca-file", "tls-cert-file", "tls-private-key-file",
                                        "service-account-key-file", "service-account-signing-key-file")]  # fmt: skip
    chosen = options.parse([*argv, "--service-node-port-range=30000-30010"])
    assert (chosen.secure_port, chosen.service_node_port_range) == (6443, (30000, 30010))
    assert str(chosen.service_cluster_ip_range) == "10.96.0.0/12"


@pytest.mark.parametrize("wrong", ["--service-node-port-range=9-1", "--service-cluster-ip-range=x", "--nada"])
def test_a_command_line_that_makes_no_sense_ends_with_a_sentence(wrong: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        options.parse([wrong])
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_listening_sockets_come_from_the_edge(tmp_path: Path) -> None:
    path = tmp_path / "edge.sock"
    with socket.socket(socket.AF_UNIX) as server, socket.create_server(("127.0.0.1", 0)) as listening:
        server.bind(str(path))
        server.listen()
        asked: list[bytes] = []

        def hand_out() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(16))
                socket.send_fds(connection, [b"\0"], [listening.fileno()])

        thread = threading.Thread(target=hand_out)
        thread.start()
        (found,) = edge.listeners(path, "api")
        thread.join()
        with found:
            assert found.getsockname() == listening.getsockname()
            assert not found.get_inheritable()
        assert asked == [b"api\n"]
    with pytest.raises(OSError, match="No such file"):
        edge.listeners(tmp_path / "none.sock", "api")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/v1/namespaces/default/pods"),
        ("PATCH", "/api/v1/namespaces/default/pods"),
        ("POST", "/api/v1/pods"),
        ("DELETE", "/api/v1/pods"),
        ("POST", "/api/v1/namespaces/default"),
    ],
)
def test_a_verb_needs_the_path_it_is_made_for(client: Recorder, method: str, path: str) -> None:
    reply = client.send(method, path, {"metadata": {"name": "x"}})
    assert (reply.code, reply.body["message"]) == (
        405,
        "the server does not allow this method on the requested resource",
    )


def test_an_object_of_a_namespace_is_not_found_without_one(client: Recorder) -> None:
    """As `kubectl auth reconcile` asks for a Role whose manifest names no namespace."""
    reply = client.send("GET", "/apis/rbac.authorization.k8s.io/v1/roles/anything")
    assert (reply.code, reply.body["reason"]) == (404, "NotFound")
