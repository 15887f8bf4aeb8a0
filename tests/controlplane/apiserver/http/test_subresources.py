"""What is below an object: binding, eviction, scale, status, tokens; and the reviews, over real TLS."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from .conftest import ApiServer
from .recorded import Recorder, Reply

PODS = "/api/v1/namespaces/default/pods"
APPS = "/apis/apps/v1/namespaces/default"
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def client(apiserver: ApiServer) -> Iterator[Recorder]:
    made = Recorder(apiserver)
    made.send("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    yield made
    made.close()


def pod(client: Recorder, name: str, **spec: Any) -> Reply:
    body = {"metadata": {"name": name, "labels": {"app": name}},
            "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}  # fmt: skip
    reply = client.send("POST", PODS, body)
    assert reply.code == 201, reply.body
    return reply


def bind(client: Recorder, name: str, node: str, **metadata: str) -> Reply:
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    return client.send("POST", f"{PODS}/{name}/binding", {"metadata": {"name": name, **metadata}, "target": target})


def test_a_pod_is_bound_once(client: Recorder) -> None:
    pod(client, "bound")
    assert bind(client, "bound", "nodoa").code == 201
    found = client.send("GET", f"{PODS}/bound").body
    assert found["spec"]["nodeName"] == "nodoa"
    assert [(each["type"], each["status"]) for each in found["status"]["conditions"]] == [("PodScheduled", "True")]
    assert [entry["manager"] for entry in found["metadata"]["managedFields"]] == ["panal"]
    again = bind(client, "bound", "nodob")
    assert (again.code, again.body["message"]) == (
        409,
        'Operation cannot be fulfilled on pods/binding "bound": pod bound is already assigned to node "nodoa"',
    )


def test_a_binding_for_a_pod_that_was_replaced_meanwhile_is_refused(client: Recorder) -> None:
    pod(client, "replaced")
    assert "UID in precondition: x" in bind(client, "replaced", "nodoa", uid="x").body["message"]


def test_a_binding_needs_a_node(client: Recorder) -> None:
    pod(client, "nowhere")
    reply = client.send(
        "POST", f"{PODS}/nowhere/binding", {"metadata": {"name": "nowhere"}, "target": {"kind": "Node"}}
    )
    assert (reply.code, reply.body["details"]["causes"][0]["field"]) == (422, "target.name")


def budget(client: Recorder, name: str, allowed: int) -> None:
    path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": name}}}
    assert client.send("POST", path, {"metadata": {"name": name}, "spec": spec}).code == 201
    status = {"disruptionsAllowed": allowed, "currentHealthy": 1 + allowed, "desiredHealthy": 1, "expectedPods": 1}
    reply = client.send("PATCH", f"{path}/{name}/status", {"status": status}, content_type=MERGE)
    assert reply.code == 200, reply.body


def running(client: Recorder, name: str) -> None:
    pod(client, name)
    client.send("PATCH", f"{PODS}/{name}/status", {"status": {"phase": "Running"}}, content_type=MERGE)


def evict(client: Recorder, name: str) -> Reply:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    return client.send("POST", f"{PODS}/{name}/eviction", body)


def test_an_eviction_is_a_deletion_while_the_budget_lasts(client: Recorder) -> None:
    running(client, "spare")
    budget(client, "spare", 1)
    assert evict(client, "spare").code == 201
    assert client.send("GET", f"{PODS}/spare").code == 404
    path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/spare"
    status = client.send("GET", path).body["status"]
    assert (status["disruptionsAllowed"], list(status["disruptedPods"])) == (0, ["spare"])


def test_an_eviction_beyond_the_budget_is_refused_for_now(client: Recorder) -> None:
    running(client, "needed")
    budget(client, "needed", 0)
    reply = evict(client, "needed")
    assert (reply.code, reply.body["reason"]) == (429, "TooManyRequests")
    assert reply.body["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert reply.body["details"]["causes"] == [
        {
            "reason": "DisruptionBudget",
            "message": "The disruption budget needed needs 1 healthy pods and has 1 currently",
        }
    ]
    assert client.send("GET", f"{PODS}/needed").code == 200


def test_a_pod_that_does_not_run_yet_may_always_go(client: Recorder) -> None:
    pod(client, "waiting")
    budget(client, "waiting", 0)
    assert evict(client, "waiting").code == 201


def deployment(client: Recorder, name: str) -> None:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    assert client.send("POST", f"{APPS}/deployments", {"metadata": {"name": name}, "spec": spec}).code == 201


def test_a_scale_shows_and_sets_the_replicas(client: Recorder) -> None:
    deployment(client, "web")
    path = f"{APPS}/deployments/web/scale"
    scale = client.send("GET", path).body
    assert (scale["kind"], scale["apiVersion"], scale["spec"]) == ("Scale", "autoscaling/v1", {"replicas": 2})
    assert scale["status"] == {"replicas": 0, "selector": "app=web"}
    scale["spec"]["replicas"] = 5
    assert client.send("PUT", path, scale).body["spec"] == {"replicas": 5}
    whole = client.send("GET", f"{APPS}/deployments/web").body
    assert (whole["spec"]["replicas"], whole["metadata"]["generation"]) == (5, 2)
    stale = client.send("PUT", path, scale)
    assert (stale.code, stale.body["reason"]) == (409, "Conflict")
    assert client.send("PATCH", path, {"spec": {"replicas": 3}}, content_type=MERGE).body["spec"] == {"replicas": 3}
    refused = client.send("PATCH", path, {"spec": {"replicas": -1}}, content_type=MERGE)
    assert (refused.code, refused.body["message"]) == (
        422,
        'Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
    )


def test_the_status_is_written_apart_from_the_rest(client: Recorder) -> None:
    deployment(client, "apart")
    path = f"{APPS}/deployments/apart"
    labels = client.send("GET", path).body["metadata"].get("labels")
    patch = {"metadata": {"labels": {"by": "status"}}, "spec": {"replicas": 9}, "status": {"replicas": 7}}
    by_status = client.send("PATCH", f"{path}/status", patch, content_type=MERGE).body
    assert by_status["metadata"].get("labels") == labels
    assert (by_status["spec"]["replicas"], by_status["status"]["replicas"]) == (2, 7)
    by_spec = client.send("PATCH", path, {"spec": {"replicas": 9}, "status": {"replicas": 1}}, content_type=MERGE).body
    assert (by_spec["spec"]["replicas"], by_spec["status"]["replicas"]) == (9, 7)


def claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    found: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


TOKEN = "/api/v1/namespaces/default/serviceaccounts/default/token"


def test_a_token_is_bound_to_its_pod_and_reviewed_as_its_account(client: Recorder) -> None:
    made = pod(client, "holder").body["metadata"]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "holder", "uid": made["uid"]}
    reply = client.send("POST", TOKEN, {"spec": {"expirationSeconds": 700, "boundObjectRef": bound}})
    assert reply.code == 201
    token = reply.body["status"]["token"]
    told = claims(token)
    assert told["exp"] - told["iat"] == 700
    assert told["sub"] == "system:serviceaccount:default:default"
    assert told["kubernetes.io"]["pod"] == {"name": "holder", "uid": made["uid"]}
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    status = client.send("POST", path, {"spec": {"token": token}}).body["status"]
    assert (status["authenticated"], status["user"]["username"]) == (True, "system:serviceaccount:default:default")
    client.send("DELETE", f"{PODS}/holder", {"gracePeriodSeconds": 0})
    after = client.send("POST", path, {"spec": {"token": token}}).body["status"]
    assert "authenticated" not in after
    assert after["error"].startswith("invalid bearer token")


def test_a_token_is_refused_for_another_pod(client: Recorder) -> None:
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "nada"}
    assert client.send("POST", TOKEN, {"spec": {"boundObjectRef": bound}}).code == 404
    pod(client, "other")
    wrong = {**bound, "name": "other", "uid": "x"}
    assert client.send("POST", TOKEN, {"spec": {"boundObjectRef": wrong}}).code == 409


def review(client: Recorder, kind: str, **spec: Any) -> Any:
    return client.send("POST", f"/apis/authorization.k8s.io/v1/{kind}", {"spec": spec}).body


def test_reviews_say_what_somebody_may(client: Recorder) -> None:
    attributes = {"verb": "delete", "resource": "pods", "namespace": "default"}
    assert review(client, "selfsubjectaccessreviews", resourceAttributes=attributes)["status"] == {"allowed": True}
    of_alice = review(client, "subjectaccessreviews", user="alice", resourceAttributes=attributes)
    assert of_alice["status"] == {"allowed": False}
    by_path = review(client, "subjectaccessreviews", user="alice", groups=["system:authenticated"],
                     nonResourceAttributes={"verb": "get", "path": "/version"})  # fmt: skip
    assert by_path["status"] == {"allowed": True}
    rules = review(client, "selfsubjectrulesreviews", namespace="default")["status"]
    assert {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]} in rules["resourceRules"]


def test_a_review_of_nobody_or_nothing_is_refused(client: Recorder) -> None:
    assert review(client, "subjectaccessreviews", resourceAttributes={"verb": "get"})["code"] == 422
    assert review(client, "selfsubjectaccessreviews")["code"] == 422
    assert review(client, "selfsubjectrulesreviews")["message"] == "no namespace on request"


def test_a_namespace_stays_until_it_is_finalized(client: Recorder) -> None:
    client.send("POST", "/api/v1/namespaces", {"metadata": {"name": "going"}})
    gone = client.send("DELETE", "/api/v1/namespaces/going").body
    assert gone["status"]["phase"] == "Terminating"
    refused = client.send("POST", "/api/v1/namespaces/going/configmaps", {"metadata": {"name": "late"}})
    assert (refused.code, refused.body["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")
    gone["spec"]["finalizers"] = []
    assert client.send("PUT", "/api/v1/namespaces/going/finalize", gone).code == 200
    assert client.send("GET", "/api/v1/namespaces/going").code == 404


def test_applying_twice_changes_nothing_and_defaults_belong_to_nobody(client: Recorder) -> None:
    path = f"{APPS}/deployments/applied?fieldManager=me"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "applied"},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}  # fmt: skip
    apply = "application/apply-patch+yaml"
    first = client.send("PATCH", path, body, content_type=apply)
    assert (first.code, first.body["spec"]["replicas"]) == (201, 1)
    (entry,) = first.body["metadata"]["managedFields"]
    assert (entry["operation"], set(entry["fieldsV1"]["f:spec"])) == ("Apply", {"f:selector", "f:template"})
    again = client.send("PATCH", path, body, content_type=apply)
    assert (again.code, again.body) == (200, first.body)


def test_an_applied_field_that_nobody_knows_is_warned_of_or_refused(client: Recorder) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "odd"}, "foo": 1}
    path, apply = "/api/v1/namespaces/default/configmaps/odd?fieldManager=me", "application/apply-patch+yaml"
    strict = client.send("PATCH", f"{path}&fieldValidation=Strict", body, content_type=apply)
    assert (strict.code, 'unknown field "foo"' in strict.body["message"]) == (400, True)
    warned = client.send("PATCH", path, body, content_type=apply)
    assert (warned.code, warned.warnings) == (201, ['299 - "unknown field \\"foo\\""'])
    assert "foo" not in warned.body


def test_applying_with_the_uid_of_what_is_gone_does_not_create_it_again(client: Recorder) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lost", "uid": "u"}}
    path = "/api/v1/namespaces/default/configmaps/lost?fieldManager=me"
    reply = client.send("PATCH", path, body, content_type="application/apply-patch+yaml")
    assert (reply.code, "uid mismatch: the provided object specified uid u" in reply.body["message"]) == (409, True)


def test_new_events_are_selected_by_their_own_names_of_fields(client: Recorder) -> None:
    path = "/apis/events.k8s.io/v1/namespaces/default/events"
    event = {
        "metadata": {"name": "told"},
        "eventTime": "2026-01-31T12:00:00.000000Z",
        "reportingController": "example.com/teller",
        "reportingInstance": "one",
        "action": "Tell",
        "reason": "Told",
        "type": "Normal",
    }
    made = client.send("POST", path, event)
    assert made.code == 201, made.body
    found = client.send("GET", f"{path}?fieldSelector=reportingController%3Dexample.com/teller").body["items"]
    assert [each["metadata"]["name"] for each in found] == ["told"]
    for name in ("reportingComponent", "source"):
        refused = client.send("GET", f"{path}?fieldSelector={name}%3Dx")
        assert (refused.code, refused.body["message"]) == (400, f"field label not supported: {name}")
