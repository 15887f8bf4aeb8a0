"""Kinds that are answered and never stored: reviews of users and rights, how the control plane does, bindings."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Answer, Api, Target

AUTHENTICATION = "/apis/authentication.k8s.io/v1"
AUTHORIZATION = "/apis/authorization.k8s.io/v1"
PODS = {"verb": "delete", "resource": "pods", "namespace": "default"}


async def review(api: Api, path: str, **spec: Any) -> Answer:
    return await api.create(path, {"spec": spec})


async def test_who_asks_is_told_who_he_is(api: Api) -> None:
    answer = (await api.create(f"{AUTHENTICATION}/selfsubjectreviews", {})).ok().body
    user = answer["status"]["userInfo"]
    assert (answer["kind"], bool(user["username"])) == ("SelfSubjectReview", True)
    assert "system:authenticated" in user["groups"]


async def test_a_token_is_its_account_and_what_is_none_is_nobody(api: Api, namespace: str) -> None:
    where = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    made = (await api.create(where, {"spec": {"expirationSeconds": 600}})).ok().body["status"]["token"]
    told = (await review(api, f"{AUTHENTICATION}/tokenreviews", token=made)).ok().body["status"]
    assert told["authenticated"]
    assert told["user"]["username"] == f"system:serviceaccount:{namespace}:default"
    assert told["audiences"]
    other = (await review(api, f"{AUTHENTICATION}/tokenreviews", token=made, audiences=["elsewhere"])).ok().body
    assert "authenticated" not in other["status"]
    nobody = (await review(api, f"{AUTHENTICATION}/tokenreviews", token="x.y.z")).ok().body["status"]
    assert "authenticated" not in nobody
    assert "invalid bearer token" in nobody["error"]
    empty = await review(api, f"{AUTHENTICATION}/tokenreviews")
    assert (empty.status, empty.message) == (400, "token is required for TokenReview in authentication")


async def test_reviews_say_what_somebody_may(api: Api, namespace: str) -> None:
    mine = await review(api, f"{AUTHORIZATION}/selfsubjectaccessreviews", resourceAttributes=PODS)
    assert mine.ok().body["status"]["allowed"]
    hers = await review(api, f"{AUTHORIZATION}/subjectaccessreviews", user="alice", resourceAttributes=PODS)
    assert not hers.ok().body["status"]["allowed"]
    path = {"verb": "get", "path": "/version"}
    groups = ["system:authenticated"]
    version = await review(
        api, f"{AUTHORIZATION}/subjectaccessreviews", user="alice", groups=groups, nonResourceAttributes=path
    )
    assert version.ok().body["status"]["allowed"]
    local = f"{AUTHORIZATION}/namespaces/{namespace}/localsubjectaccessreviews"
    asked = {**PODS, "namespace": namespace}
    body = {"metadata": {"namespace": namespace}, "spec": {"user": "alice", "resourceAttributes": asked}}
    assert not (await api.create(local, body)).ok().body["status"]["allowed"]
    rules = (await review(api, f"{AUTHORIZATION}/selfsubjectrulesreviews", namespace=namespace)).ok().body["status"]
    assert {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]} in rules["resourceRules"]


NEITHER = "exactly one of nonResourceAttributes or resourceAttributes must be specified"


@pytest.mark.parametrize(
    ("plural", "spec", "words"),
    [
        ("subjectaccessreviews", {"resourceAttributes": PODS},
         'spec.user: Invalid value: "": at least one of user or group must be specified'),
        ("subjectaccessreviews", {"user": "a"}, f'spec.resourceAttributes: Invalid value: "null": {NEITHER}'),
        ("selfsubjectaccessreviews", {}, f'spec.resourceAttributes: Invalid value: "null": {NEITHER}'),
        ("namespaces/default/localsubjectaccessreviews", {"user": "a", "resourceAttributes": {"namespace": "other"}},
         'spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace'),
    ],
)  # fmt: skip
async def test_a_review_of_nobody_or_nothing_is_refused(api: Api, plural: str, spec: Any, words: str) -> None:
    body = {"metadata": {"namespace": "default"} if "/" in plural else {}, "spec": spec}
    answer = await api.create(f"{AUTHORIZATION}/{plural}", body)
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert words in answer.message


async def test_rules_are_those_of_a_namespace(api: Api) -> None:
    answer = await review(api, f"{AUTHORIZATION}/selfsubjectrulesreviews")
    assert (answer.status, answer.message) == (400, "no namespace on request")


async def test_the_control_plane_tells_how_it_does(api: Api, target: Target) -> None:
    answer = (await api.get("/api/v1/componentstatuses")).ok()
    assert answer.warnings == ["v1 ComponentStatus is deprecated in v1.19+"]
    assert {"controller-manager", "scheduler", "etcd-0"} <= set(answer.names)
    store = (await api.get("/api/v1/componentstatuses/etcd-0")).ok().body["conditions"]
    assert [(each["type"], each["status"], each["message"]) for each in store] == [("Healthy", "True", "ok")]
    one = (await api.get("/api/v1/componentstatuses/scheduler")).ok().body["conditions"][0]
    if target.own is not None:  # which is alone
        assert (one["status"], one["message"].partition(":")[0]) == ("False", 'Get "https')


async def test_a_pod_is_bound_by_its_name_in_the_body(api: Api, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"containers": [{"name": "c", "image": "i"}], "schedulerName": "nobody"}
    (await api.create(pods, {"metadata": {"name": "p"}, "spec": spec})).ok()
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": f"{namespace}-none"}}
    (await api.create(f"/api/v1/namespaces/{namespace}/bindings", binding)).ok()
    assert (await api.get(f"{pods}/p")).ok().body["spec"]["nodeName"] == f"{namespace}-none"


async def test_old_endpoints_are_warned_of_whoever_reads_them(api: Api, namespace: str) -> None:
    words = ["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"]
    path = f"/api/v1/namespaces/{namespace}/endpoints"
    assert (await api.get(path)).ok().warnings == words
    assert (await api.create(path, {"metadata": {"name": "e"}})).ok().warnings == words
