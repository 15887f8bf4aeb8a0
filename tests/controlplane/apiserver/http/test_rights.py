"""Rights over the wire: nobody makes himself an administrator."""

from __future__ import annotations

import datetime
import http.client
import ssl
from typing import Any
from urllib.parse import urlsplit

import orjson

from .conftest import ApiServer
from .recorded import Recorder

RBAC = "/apis/rbac.authorization.k8s.io/v1"


def as_user(server: ApiServer, name: str, path: str, body: Any) -> tuple[int, Any]:
    pair = server.authority.client(name, ("devs",), datetime.datetime.now(datetime.UTC))
    certificate = server.home / f"{name}-rights.pem"
    certificate.write_bytes(pair.certificate + pair.key)
    context = ssl.create_default_context(cadata=server.authority.certificate.decode())
    context.load_cert_chain(certificate)
    where = urlsplit(server.url)
    connection = http.client.HTTPSConnection(where.hostname or "", where.port, context=context, timeout=20)
    try:
        connection.request("POST", path, orjson.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, orjson.loads(answer.read())
    finally:
        connection.close()


def test_who_may_write_roles_gives_no_more_than_he_has(apiserver: ApiServer) -> None:
    admin = Recorder(apiserver)
    group = "rbac.authorization.k8s.io"
    rules = [
        {"verbs": ["create"], "apiGroups": [group], "resources": ["clusterroles", "clusterrolebindings"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
    ]
    admin.send("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "janitor"}, "rules": rules})
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": "janitor"}
    subjects = [{"apiGroup": group, "kind": "User", "name": "joe"}]
    binding = {"metadata": {"name": "janitor"}, "roleRef": reference, "subjects": subjects}
    assert admin.send("POST", f"{RBAC}/clusterrolebindings", binding).code == 201
    admin.close()
    code, _ = as_user(apiserver, "joe", f"{RBAC}/clusterroles", {"metadata": {"name": "small"}, "rules": rules[1:]})
    assert code == 201
    everything = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    code, body = as_user(apiserver, "joe", f"{RBAC}/clusterroles", {"metadata": {"name": "all"}, "rules": everything})
    who = 'user "joe" (groups=["devs" "system:authenticated"])'
    assert (code, body["message"]) == (
        403,
        f'clusterroles.rbac.authorization.k8s.io "all" is forbidden: {who} is attempting to grant RBAC permissions '
        'not currently held:\n{APIGroups:["*"], Resources:["*"], Verbs:["*"]}',
    )
    master = {**binding, "metadata": {"name": "mine"}, "roleRef": {**reference, "name": "cluster-admin"}}
    code, body = as_user(apiserver, "joe", f"{RBAC}/clusterrolebindings", master)
    assert (code, "permissions not currently held" in body["message"]) == (403, True)
