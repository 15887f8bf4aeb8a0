"""Admission webhooks over a real server: a webhook of the test's own is asked, and what it says is done."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from .conftest import ApiServer, make
from .operators import Operator, operating
from .recorded import Recorder

HOOKS = "/apis/admissionregistration.k8s.io/v1"
RULES = [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """In the loopback network, where a Service's endpoints may be this machine's."""
    arguments = ["--service-cluster-ip-range=127.96.0.0/12"]
    made = make(tmp_path_factory.mktemp("webhooks"), network="loopback", arguments=arguments)
    made.start()
    yield made
    assert made.stop() == 0, made.log()


@pytest.fixture(scope="module")
def operator(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with operating(server, tmp_path_factory.mktemp("operator")) as found:
        yield found


@pytest.fixture
def client(server: ApiServer, operator: Operator) -> Iterator[Recorder]:
    made = Recorder(server)
    yield made
    for plural in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
        assert made.send("DELETE", f"{HOOKS}/{plural}").code == 200
    operator.answers.clear()
    operator.asked.clear()
    made.close()


def register(client: Recorder, kind: str, *hooks: dict[str, Any]) -> None:
    common = {"sideEffects": "None", "admissionReviewVersions": ["v1"], "rules": RULES}
    webhooks = [{"name": f"{index}.example.com", **common, **hook} for index, hook in enumerate(hooks)]
    path = f"{HOOKS}/{kind}webhookconfigurations"
    reply = client.send("POST", path, {"metadata": {"name": kind}, "webhooks": webhooks})
    assert reply.code == 201, reply.body


def create(client: Recorder, name: str, query: str = "", **labels: str) -> Any:
    body = {"metadata": {"name": name, "labels": labels}, "data": {"a": "1"}}
    return client.send("POST", f"/api/v1/namespaces/default/configmaps{query}", body)


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"patchType": "JSONPatch", "patch": base64.b64encode(orjson.dumps(operations)).decode()}


def test_a_mutating_webhook_changes_what_is_stored(client: Recorder, operator: Operator) -> None:
    operator.answers["/set"] = {
        **patch({"op": "add", "path": "/data/b", "value": "2"}, {"op": "add", "path": "/nonsense", "value": 1}),
        "warnings": ["careful"],
    }
    register(client, "mutating", {"clientConfig": operator.client("/set")})
    reply = create(client, "changed")
    assert (reply.code, reply.body["data"], reply.warnings) == (201, {"a": "1", "b": "2"}, ['299 - "careful"'])
    assert "nonsense" not in reply.body
    [(_, asked)] = operator.asked
    assert (asked["operation"], asked["name"], asked["namespace"]) == ("CREATE", "changed", "default")
    assert asked["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert (asked["userInfo"]["username"], asked["oldObject"], asked["dryRun"]) == ("admin", None, False)
    assert asked["object"]["data"] == {"a": "1"}


def test_a_validating_webhook_refuses_in_its_own_words(client: Recorder, operator: Operator) -> None:
    assert create(client, "kept").code == 201
    operator.answers["/no"] = {"allowed": False, "status": {"code": 403, "reason": "Forbidden", "message": "not today"}}
    operator.answers["/silent"] = {"allowed": False}
    register(client, "validating", {"clientConfig": operator.client("/no")})
    reply = client.send("DELETE", "/api/v1/namespaces/default/configmaps/kept")
    words = 'admission webhook "0.example.com" denied the request'
    assert (reply.code, reply.body["reason"], reply.body["message"]) == (403, "Forbidden", f"{words}: not today")
    assert [(asked["operation"], asked["object"], asked["oldObject"]["data"]) for _, asked in operator.asked] == [
        ("DELETE", None, {"a": "1"})
    ]
    assert client.send("DELETE", f"{HOOKS}/validatingwebhookconfigurations/validating").code == 200
    register(client, "validating", {"clientConfig": operator.client("/silent")})
    reply = create(client, "refused")
    assert (reply.code, reply.body["message"]) == (400, f"{words} without explanation")


def test_a_webhook_that_does_not_answer_stops_the_write_unless_that_is_ignored(
    client: Recorder, operator: Operator
) -> None:
    gone = {"url": "https://127.0.0.1:1/x", "caBundle": operator.bundle}
    register(client, "validating", {"clientConfig": gone})
    reply = create(client, "stopped")
    assert (reply.code, reply.body["message"]) == (
        500,
        'Internal error occurred: failed calling webhook "0.example.com": failed to call webhook: Post '
        '"https://127.0.0.1:1/x?timeout=10s": dial tcp 127.0.0.1:1: connect: connection refused',
    )
    assert client.send("DELETE", f"{HOOKS}/validatingwebhookconfigurations/validating").code == 200
    register(client, "validating", {"clientConfig": gone, "failurePolicy": "Ignore"})
    assert create(client, "stopped").code == 201


def test_a_webhook_behind_a_service_is_found_and_known_by_its_name(client: Recorder, operator: Operator) -> None:
    service = {"metadata": {"name": "hook"}, "spec": {"ports": [{"port": 443, "targetPort": operator.port}]}}
    assert client.send("POST", "/api/v1/namespaces/default/services", service).code == 201
    reference = {"service": {"namespace": "default", "name": "hook", "path": "/ok"}, "caBundle": operator.bundle}
    register(client, "validating", {"clientConfig": reference})
    reply = create(client, "early")
    assert 'no endpoints available for service "hook"' in reply.body["message"]
    ends = [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]
    slice_ = {"metadata": {"name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}}, "endpoints": ends,
              "addressType": "IPv4", "ports": [{"name": "", "port": operator.port}]}  # fmt: skip
    path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    assert client.send("POST", path, slice_).code == 201
    assert create(client, "early").code == 201
    assert [path for path, _ in operator.asked] == ["/ok"]


def test_selectors_rules_and_dry_runs_decide_who_is_asked(client: Recorder, operator: Operator) -> None:
    register(
        client,
        "validating",
        {"clientConfig": operator.client("/labelled"), "objectSelector": {"matchLabels": {"ask": "yes"}}},
        {"clientConfig": operator.client("/space"), "namespaceSelector": {"matchLabels": {"ask": "yes"}}},
        {"clientConfig": operator.client("/updates"), "rules": [{**RULES[0], "operations": ["UPDATE"]}]},
        {"clientConfig": operator.client("/nodes"), "rules": [{**RULES[0], "scope": "Cluster"}]},
    )
    assert create(client, "one").code == create(client, "two", ask="yes").code == 201
    assert [(path, asked["name"]) for path, asked in operator.asked] == [("/labelled", "two")]
    assert client.send("DELETE", f"{HOOKS}/validatingwebhookconfigurations/validating").code == 200
    register(client, "validating", {"clientConfig": operator.client("/acts"), "sideEffects": "NoneOnDryRun"})
    assert create(client, "three", "?dryRun=All").code == 201
    assert operator.asked[-1][1]["dryRun"] is True


def test_a_webhook_sees_again_what_a_later_one_changed_if_it_wants(client: Recorder, operator: Operator) -> None:
    operator.answers["/later"] = patch({"op": "add", "path": "/data/c", "value": "3"})
    register(
        client,
        "mutating",
        {"clientConfig": operator.client("/first"), "reinvocationPolicy": "IfNeeded"},
        {"clientConfig": operator.client("/other")},
        {"clientConfig": operator.client("/later")},
    )
    assert create(client, "twice").body["data"] == {"a": "1", "c": "3"}
    seen = [(path, "c" in asked["object"]["data"]) for path, asked in operator.asked]
    assert seen == [("/first", False), ("/other", False), ("/later", False), ("/first", True)]


def test_match_conditions_decide_who_is_asked(client: Recorder, operator: Operator) -> None:
    wanted = {"name": "wanted", "expression": "object.metadata.name.startsWith('wanted')"}
    broken = {"name": "broken", "expression": "object.data.missing == 'x'"}
    register(client, "validating", {"clientConfig": operator.client("/yes"), "matchConditions": [wanted, broken]})
    assert create(client, "other").code == 201  # one that is false decides, whatever fails
    reply = create(client, "wanted")
    assert (reply.code, reply.body["reason"]) == (403, "Forbidden")
    assert "no such key: missing" in reply.body["message"]
    assert operator.asked == []
    assert client.send("DELETE", f"{HOOKS}/validatingwebhookconfigurations/validating").code == 200
    register(client, "validating", {"clientConfig": operator.client("/yes"), "matchConditions": [wanted]})
    assert create(client, "wanted-too").code == 201
    assert [asked["name"] for _, asked in operator.asked] == ["wanted-too"]


def _custom(client: Recorder) -> None:
    """A kind that is served in two versions."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [{"name": name, "served": True, "storage": name == "v1", "schema": schema} for name in ("v1", "v1beta1")]
    names = {"plural": "kites", "singular": "kite", "kind": "Kite", "listKind": "KiteList"}
    spec = {"group": "toys.example.com", "scope": "Cluster", "names": names, "versions": versions}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert client.send("POST", path, {"metadata": {"name": "kites.toys.example.com"}, "spec": spec}).code == 201
    deadline = time.monotonic() + 20
    while client.send("GET", "/apis/toys.example.com/v1beta1/kites").code != 200:
        assert time.monotonic() < deadline


def test_a_rule_about_one_version_is_about_all_of_them(client: Recorder, operator: Operator) -> None:
    _custom(client)
    rules = [{"operations": ["*"], "apiGroups": ["toys.example.com"], "apiVersions": ["v1"], "resources": ["kites"]}]
    operator.answers["/set"] = patch({"op": "add", "path": "/color", "value": "red"})
    exact = {"clientConfig": operator.client("/exact"), "rules": rules, "matchPolicy": "Exact"}
    register(client, "mutating", {"clientConfig": operator.client("/set"), "rules": rules}, exact)
    beta = {"apiVersion": "toys.example.com/v1beta1", "kind": "Kite", "metadata": {"name": "a"}}
    reply = client.send("POST", "/apis/toys.example.com/v1beta1/kites", beta)
    assert (reply.code, reply.body["apiVersion"], reply.body["color"]) == (201, beta["apiVersion"], "red")
    [(path, asked)] = operator.asked
    assert (path, asked["object"]["apiVersion"]) == ("/set", "toys.example.com/v1")
    assert (asked["kind"]["version"], asked["requestKind"]["version"]) == ("v1", "v1beta1")
    assert (asked["resource"]["version"], asked["requestResource"]["version"]) == ("v1", "v1beta1")


def test_a_policy_about_one_version_sees_the_other_as_its_own(client: Recorder) -> None:
    where = {"apiGroups": ["autoscaling"], "apiVersions": ["v1"], "operations": ["CREATE"]}
    rules = [{**where, "resources": ["horizontalpodautoscalers"]}]
    rule = {"expression": "object.spec.targetCPUUtilizationPercentage < 90", "message": "too busy"}
    spec = {"matchConstraints": {"resourceRules": rules}, "validations": [rule]}
    policies, bindings = f"{HOOKS}/validatingadmissionpolicies", f"{HOOKS}/validatingadmissionpolicybindings"
    assert client.send("POST", policies, {"metadata": {"name": "busy"}, "spec": spec}).code == 201
    bound = {"metadata": {"name": "busy"}, "spec": {"policyName": "busy", "validationActions": ["Deny"]}}
    assert client.send("POST", bindings, bound).code == 201
    target = {"type": "Utilization", "averageUtilization": 95}
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    body = {"metadata": {"name": "x"}, "spec": {"maxReplicas": 2, "scaleTargetRef": scaled, "metrics": [cpu]}}
    reply = client.send("POST", "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", body)
    assert (reply.code, "too busy" in reply.body["message"]) == (422, True), reply.body
    kept = client.send("GET", f"{policies}/busy").body
    kept["spec"]["matchConstraints"]["matchPolicy"] = "Exact"
    assert client.send("PUT", f"{policies}/busy", kept).code == 200
    reply = client.send("POST", "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", body)
    assert reply.code == 201
    assert client.send("DELETE", f"{bindings}/busy").code == 200


def test_a_webhook_may_refuse_a_connection_by_what_is_asked_for(client: Recorder, operator: Operator) -> None:
    pods = "/api/v1/namespaces/default/pods"
    pod = {"metadata": {"name": "attached"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}}
    client.send("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    assert client.send("POST", pods, pod).code == 201
    operator.answers["/attach"] = {"allowed": False, "status": {"message": "nobody attaches here"}}
    rules = [{"operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/attach"]}]
    register(client, "validating", {"clientConfig": operator.client("/attach"), "rules": rules})
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    operator.asked.clear()
    reply = client.send("GET", f"{pods}/attached/attach?stdin=true&container=c", more=upgrade)
    assert "nobody attaches here" in reply.body["message"]
    [(_, asked)] = operator.asked
    assert (asked["operation"], asked["name"], asked["subResource"]) == ("CONNECT", "attached", "attach")
    assert asked["kind"] == {"group": "", "version": "v1", "kind": "PodAttachOptions"}
    assert asked["object"] == {"kind": "PodAttachOptions", "apiVersion": "v1", "stdin": True, "container": "c"}
    assert asked["options"] is None
