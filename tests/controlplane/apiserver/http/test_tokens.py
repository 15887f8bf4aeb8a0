"""Bootstrap tokens, and service account tokens that live as long as a Secret or a node, over real TLS."""

from __future__ import annotations

import base64
import http.client
import ssl
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from panal.controlplane.apiserver.bootstraptokens import groups

from .conftest import ApiServer
from .recorded import Recorder

SECRETS = "/api/v1/namespaces/kube-system/secrets"
TOKEN = "/api/v1/namespaces/default/serviceaccounts/default/token"


@pytest.fixture(scope="module")
def client(apiserver: ApiServer) -> Iterator[Recorder]:
    made = Recorder(apiserver)
    made.send("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    yield made
    made.close()


def who(server: ApiServer, token: str) -> tuple[int, Any]:
    """Who the server takes the bearer of a token for."""
    context = ssl.create_default_context(cadata=server.authority.certificate.decode())
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=20)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", b"{}", headers)
        answer = connection.getresponse()
        body = orjson.loads(answer.read())
        return answer.status, (body.get("status") or {}).get("userInfo") if answer.status == 201 else body["message"]
    finally:
        connection.close()


def bootstrap(client: Recorder, token_id: str, **data: str) -> None:
    fields = {
        "token-id": token_id,
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:workers",
        **data,
    }
    secret = {"metadata": {"name": f"bootstrap-token-{token_id}"}, "type": "bootstrap.kubernetes.io/token"}
    assert client.send("POST", SECRETS, {**secret, "stringData": fields}).code == 201


def test_a_bootstrap_token_is_known_until_it_expires_or_its_secret_goes(apiserver: ApiServer, client: Recorder) -> None:
    bootstrap(client, "abcdef", expiration="2999-01-01T00:00:00Z")
    bootstrap(client, "expire", expiration="2001-01-01T00:00:00Z")
    bootstrap(client, "nologi", **{"usage-bootstrap-authentication": "false"})
    code, user = who(apiserver, "abcdef.0123456789abcdef")
    assert (code, user["username"]) == (201, "system:bootstrap:abcdef")
    assert user["groups"] == ["system:bootstrappers", "system:bootstrappers:workers", "system:authenticated"]
    for refused in (
        "abcdef.0123456789abcdee",
        "expire.0123456789abcdef",
        "nologi.0123456789abcdef",
        "absent.0123456789abcdef",
    ):
        assert who(apiserver, refused) == (401, "Unauthorized")
    assert client.send("DELETE", f"{SECRETS}/bootstrap-token-abcdef").code == 200
    assert who(apiserver, "abcdef.0123456789abcdef")[0] == 401


def test_a_token_ends_with_what_it_is_bound_to(apiserver: ApiServer, client: Recorder) -> None:
    assert client.send("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "tie"}}).code == 201
    assert client.send("POST", "/api/v1/nodes", {"metadata": {"name": "tied"}}).code == 201
    tokens = {}
    for kind, name in (("Secret", "tie"), ("Node", "tied")):
        reference = {"kind": kind, "apiVersion": "v1", "name": name}
        reply = client.send("POST", TOKEN, {"spec": {"boundObjectRef": reference}})
        assert reply.code == 201, reply.body
        tokens[kind] = reply.body["status"]["token"]
    assert who(apiserver, tokens["Secret"])[0] == 201
    extra = who(apiserver, tokens["Node"])[1]["extra"]
    assert extra["authentication.kubernetes.io/node-name"] == ["tied"]
    client.send("DELETE", "/api/v1/namespaces/default/secrets/tie")
    client.send("DELETE", "/api/v1/nodes/tied")
    assert [who(apiserver, each)[0] for each in tokens.values()] == [401, 401]
    odd = {"spec": {"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "x"}}}
    reply = client.send("POST", TOKEN, odd)
    assert (reply.code, reply.body["message"]) == (400, "cannot bind token to object of type /v1, Kind=ConfigMap")


def test_a_secret_of_another_type_or_with_odd_groups_opens_nothing() -> None:
    import base64

    def stored(**data: str) -> dict[str, Any]:
        fields = {"token-id": "a", "token-secret": "s", "usage-bootstrap-authentication": "true", **data}
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in fields.items()}
        return {"type": "bootstrap.kubernetes.io/token", "metadata": {}, "data": encoded}

    assert groups(stored(), "a", "s", 0) == ("system:bootstrappers",)
    assert groups({**stored(), "type": "Opaque"}, "a", "s", 0) is None
    assert groups(stored(**{"auth-extra-groups": "system:masters"}), "a", "s", 0) is None
    assert groups(stored(expiration="soon"), "a", "s", 0) is None


def test_a_secret_gets_a_token_that_is_valid_as_long_as_it_has_it(apiserver: ApiServer, client: Recorder) -> None:
    secrets = "/api/v1/namespaces/default/secrets"
    annotations = {"kubernetes.io/service-account.name": "default"}
    body = {
        "metadata": {"name": "lasting", "annotations": annotations},
        "type": "kubernetes.io/service-account-token",
    }
    made = client.send("POST", secrets, body).body
    token = base64.b64decode(made["data"]["token"]).decode()
    assert base64.b64decode(made["data"]["namespace"]) == b"default"
    assert base64.b64decode(made["data"]["ca.crt"]) == apiserver.authority.certificate
    assert made["metadata"]["annotations"]["kubernetes.io/service-account.uid"]
    code, user = who(apiserver, token)
    assert (code, user["username"]) == (201, "system:serviceaccount:default:default")
    forged = token[:-8] + ("A" * 8 if not token.endswith("A" * 8) else "B" * 8)
    assert who(apiserver, forged)[0] == 401
    review = {"spec": {"token": token, "audiences": ["somebody-else"]}}
    asked = client.send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
    assert asked.body["status"].get("authenticated", False) is False
    changed = client.send(
        "PATCH", f"{secrets}/lasting", {"data": {"token": None}}, content_type="application/merge-patch+json"
    ).body
    assert base64.b64decode(changed["data"]["token"]).decode().count(".") == 2  # filled again
    assert client.send("DELETE", f"{secrets}/lasting").code == 200
    assert who(apiserver, token)[0] == 401


def test_a_secret_for_no_service_account_gets_no_token(client: Recorder) -> None:
    annotations = {"kubernetes.io/service-account.name": "nobody"}
    body = {"metadata": {"name": "none", "annotations": annotations}, "type": "kubernetes.io/service-account-token"}
    assert "data" not in client.send("POST", "/api/v1/namespaces/default/secrets", body).body
