"""Creates, updates and deletions: options, preconditions, names, finalizers, owners, generations, warnings."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .conftest import MERGE, Api, Target

YAML = "application/yaml"


def maps(namespace: str, query: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps{query}"


def deployments(namespace: str, rest: str = "") -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments{rest}"


def deployment(name: str = "d", **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}
    wanted = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": wanted}


@pytest.mark.parametrize(
    ("method", "query", "kind", "complaint"),
    [
        ("POST", "dryRun=Some", "Create", 'dryRun: Unsupported value: ["Some"]: supported values: "All"'),
        ("PUT", "dryRun=Some", "Update", 'dryRun: Unsupported value: ["Some"]: supported values: "All"'),
        ("PATCH", "dryRun=Some", "Patch", 'dryRun: Unsupported value: ["Some"]: supported values: "All"'),
        ("DELETE", "dryRun=Some", "Delete", 'dryRun: Unsupported value: ["Some"]: supported values: "All"'),
        (
            "POST", "fieldValidation=Maybe", "Create",
            'fieldValidation: Unsupported value: "Maybe": supported values: "", "Ignore", "Strict", "Warn"',
        ),
        ("POST", f"fieldManager={'m' * 129}", "Create", "fieldManager: Too long: may not be more than 128 bytes"),
        (
            "PUT", "fieldManager=%01", "Update",
            'fieldManager: Invalid value: "\\x01": should only contain printable characters',
        ),
        ("PATCH", "force=true", "Patch", "force: Forbidden: may not be specified for non-apply patch"),
        (
            "DELETE", "propagationPolicy=Some", "Delete",
            'propagationPolicy: Unsupported value: "Some": supported values: "Foreground", "Background", "Orphan", '
            '"nil"',
        ),
    ],
)  # fmt: skip
async def test_options_that_make_no_sense_are_refused(
    api: Api, namespace: str, method: str, query: str, kind: str, complaint: str
) -> None:
    path = maps(namespace, f"?{query}" if method == "POST" else f"/a?{query}")
    body = None if method == "DELETE" else {"metadata": {"name": "a"}}
    media = MERGE if method == "PATCH" else "application/json"
    answer = await api(method, path, body, Content_Type=media)
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.message == f'{kind}Options.meta.k8s.io "" is invalid: {complaint}'


UNKNOWN = {"metadata": {"name": "a"}, "data": {"k": "v"}, "odd": 1, "immutable": False}
TWICE = b'{"metadata":{"name":"a","labels":{"l":"1","l":"2"}},"data":{"k":"v"}}'
TWICE_YAML = b"metadata:\n  name: a\ndata:\n  k: one\n  k: two\n"


@pytest.mark.parametrize(
    ("body", "media", "warning", "strict"),
    [
        (UNKNOWN, "application/json", 'unknown field "odd"', 'unknown field "odd"'),
        (TWICE, "application/json", 'duplicate field "metadata.labels.l"', 'duplicate field "metadata.labels.l"'),
        (
            TWICE_YAML, YAML, 'line 5: key "k" already set in map',
            'yaml: unmarshal errors:\n  line 5: key "k" already set in map',
        ),
    ],
)  # fmt: skip
async def test_a_field_nobody_knows_or_said_twice_is_ignored_warned_of_or_refused(
    api: Api, namespace: str, body: Any, media: str, warning: str, strict: str
) -> None:
    path = maps(namespace, "?dryRun=All&fieldValidation=")
    assert (await api.create(f"{path}Ignore", body, Content_Type=media)).ok().warnings == []
    for how in ("", "Warn"):
        assert (await api.create(path + how, body, Content_Type=media)).ok().warnings == [warning]
    refused = await api.create(f"{path}Strict", body, Content_Type=media)
    assert (refused.status, refused.reason) == (400, "BadRequest")
    said = f'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: {strict}'
    assert refused.message == said


async def test_a_patch_is_validated_like_an_object(api: Api, namespace: str) -> None:
    await api.create(maps(namespace), {"metadata": {"name": "a"}})
    path = maps(namespace, "/a?fieldValidation=")
    assert (await api.patch(f"{path}Warn", {"odd": 1})).ok().warnings == ['unknown field "odd"']
    refused = await api.patch(f"{path}Strict", {"odd": 1})
    assert (refused.status, refused.reason) == (422, "Invalid")
    assert refused.message.endswith('strict decoding error: unknown field "odd"')
    twice = await api.patch(f"{path}Warn", b'{"data":{"a":"1","a":"2"}}')
    assert twice.ok().warnings == ['duplicate field "data.a"']


async def test_a_dry_run_goes_all_the_way_and_leaves_nothing(api: Api, namespace: str, settled: Any) -> None:
    made = (await api.create(f"{deployments(namespace)}?dryRun=All", deployment())).ok()
    assert made.body["metadata"]["uid"]
    assert made.body["spec"]["strategy"]["type"] == "RollingUpdate"
    assert (await api.get(deployments(namespace, "/d"))).status == 404
    wrong = await api.create(f"{deployments(namespace)}?dryRun=All", deployment(replicas=-1))
    assert wrong.status == 422
    await api.create(deployments(namespace), deployment())
    again = await api.create(f"{deployments(namespace)}?dryRun=All", deployment())
    assert again.reason == "AlreadyExists"
    before = await settled(deployments(namespace, "/d"))
    generation = before.body["metadata"]["generation"]
    patched = (await api.patch(deployments(namespace, "/d?dryRun=All"), {"spec": {"replicas": 5}})).ok()
    assert (patched.body["spec"]["replicas"], patched.body["metadata"]["generation"]) == (5, generation + 1)
    scaled = await api.patch(deployments(namespace, "/d/scale?dryRun=All"), {"spec": {"replicas": 7}})
    assert scaled.ok().body["spec"]["replicas"] == 7
    assert (await api("DELETE", deployments(namespace, "/d?dryRun=All"))).status == 200
    assert (await api("DELETE", deployments(namespace, "/d"), {"dryRun": ["All"]})).status == 200
    assert (await api("DELETE", deployments(namespace, "?dryRun=All"))).status == 200
    assert (await api.get(deployments(namespace, "/d"))).raw == before.raw


async def test_generated_names_differ_and_begin_as_asked(api: Api, namespace: str) -> None:
    answers = await asyncio.gather(
        *(api.create(maps(namespace), {"metadata": {"generateName": "g-"}}) for _ in range(50))
    )
    names = {answer.ok().body["metadata"]["name"] for answer in answers}
    assert len(names) == 50
    assert all(name.startswith("g-") and len(name) == 7 for name in names)
    both = (await api.create(maps(namespace), {"metadata": {"generateName": "g-", "name": "own"}})).ok()
    assert both.body["metadata"]["name"] == "own"


async def test_preconditions_hold_or_refuse(api: Api, namespace: str) -> None:
    made = (await api.create(maps(namespace), {"metadata": {"name": "a"}})).ok()
    path, uid = maps(namespace, "/a"), made.body["metadata"]["uid"]
    for condition in ({"uid": "other"}, {"resourceVersion": "1"}):
        answer = await api("DELETE", path, {"preconditions": condition})
        assert (answer.status, answer.reason) == (409, "Conflict")
    stale = await api("PUT", path, {"metadata": {"name": "a", "resourceVersion": "1"}})
    assert stale.message.endswith("please apply your changes to the latest version and try again")
    held = {"preconditions": {"uid": uid, "resourceVersion": made.revision}}
    assert (await api("DELETE", path, held)).status == 200


@pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
async def test_a_policy_is_a_finalizer_until_somebody_takes_it_away(
    api: Api, namespace: str, policy: str, finalizer: str
) -> None:
    await api.create(maps(namespace), {"metadata": {"name": "a"}})
    path = maps(namespace, "/a")
    deleted = (await api("DELETE", f"{path}?propagationPolicy={policy}")).ok().body
    assert deleted["metadata"]["finalizers"] == [finalizer]
    assert deleted["metadata"]["deletionTimestamp"]
    more = await api.patch(path, {"metadata": {"finalizers": ["a.example/b", finalizer]}})
    assert (more.status, more.reason) == (422, "Invalid")
    assert "no new finalizers can be added if the object is being deleted" in more.message
    both = await api("DELETE", path, {"propagationPolicy": policy, "orphanDependents": True})
    assert both.message.endswith("orphanDependents and deletionPropagation cannot be both set")
    await api.patch(path, {"metadata": {"finalizers": None}})
    assert (await api.get(path)).status == 404


async def test_owners_are_checked(api: Api, namespace: str) -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "blockOwnerDeletion": True}
    made = await api.create(maps(namespace), {"metadata": {"name": "a", "ownerReferences": [owner]}})
    assert made.ok().body["metadata"]["ownerReferences"] == [owner]
    two = [{**owner, "controller": True, "uid": str(number)} for number in range(2)]
    refused = await api.create(maps(namespace), {"metadata": {"name": "b", "ownerReferences": two}})
    assert "Only one reference can have Controller set to true" in refused.message
    nobody = await api.create(maps(namespace), {"metadata": {"name": "b", "ownerReferences": [{**owner, "uid": ""}]}})
    assert "metadata.ownerReferences.uid: Invalid value" in nobody.message


async def test_the_generation_counts_specifications(api: Api, namespace: str, settled: Any) -> None:
    made = (await api.create(deployments(namespace), deployment())).ok()
    assert made.body["metadata"]["generation"] == 1
    path = deployments(namespace, "/d")

    async def risen(rest: str, change: Any) -> int:
        before = (await settled(path)).body["metadata"]["generation"]
        (await api.patch(path + rest, change)).ok()
        return int((await api.get(path)).body["metadata"]["generation"] - before)

    assert await risen("", {"metadata": {"labels": {"x": "y"}}}) == 0
    assert await risen("/status", {"status": {"replicas": 1}}) == 0
    assert await risen("", {"spec": {"replicas": 2}}) == 1
    assert await risen("/scale", {"spec": {"replicas": 3}}) == 1
    assert await risen("", {"spec": {"replicas": 3}}) == 0
    assert await risen("", {"metadata": {"annotations": {"x": "y"}}}) == 1, "Deployments count annotations, too"


async def test_a_collection_is_deleted_as_far_as_selected(api: Api, namespace: str) -> None:
    for number in range(4):
        labels = {"n": str(number % 2)}
        await api.create(maps(namespace), {"metadata": {"name": f"c{number}", "labels": labels}})
    gone = (await api("DELETE", maps(namespace, "?labelSelector=n%3D1"))).ok()
    assert gone.names == ["c1", "c3"]
    left = (await api.get(maps(namespace))).names
    assert ("c0" in left, "c1" in left) == (True, False)


async def test_fields_that_do_not_act_are_warned_of(api: Api, target: Target, namespace: str) -> None:
    if target.own is None:
        pytest.skip("of this cluster only")
    body = deployment()
    body["spec"]["template"]["spec"]["hostPID"] = True
    warnings = (await api.create(deployments(namespace), body)).ok().warnings
    field = "spec.template.spec.hostPID"
    assert warnings == [f"{field}: nothing in this cluster acts on it: processes of the node are not shown"]
    assert (await api.patch(deployments(namespace, "/d"), {"spec": {"replicas": 2}})).ok().warnings == []
    ordinary = (await api.create(deployments(namespace), deployment("ordinary"))).ok()
    assert ordinary.warnings == []
    driver = {"metadata": {"name": namespace}, "spec": {"attachRequired": False}}
    told = (await api.create("/apis/storage.k8s.io/v1/csidrivers", driver)).ok().warnings
    assert told == ["CSIDriver: it is stored and validated; nothing in this cluster acts on it"]
    await api("DELETE", f"/apis/storage.k8s.io/v1/csidrivers/{namespace}")


async def test_a_new_object_names_no_revision(api: Api, namespace: str) -> None:
    body = {"metadata": {"name": "a", "resourceVersion": "5"}}
    refused = await api.create(maps(namespace), body)
    assert (refused.status, refused.message) == (500, "resourceVersion should not be set on objects to be created")
    (await api.create(maps(namespace, "?dryRun=All"), body)).ok()
    body["metadata"]["resourceVersion"] = "0"
    (await api.create(maps(namespace), body)).ok()


async def test_the_deletion_of_a_collection_stops_at_its_limit(api: Api, namespace: str) -> None:
    for name in ("a", "b", "c"):
        (await api.create(maps(namespace), {"metadata": {"name": name, "labels": {"of": "limit"}}})).ok()
    deleted = (await api("DELETE", maps(namespace, "?labelSelector=of%3Dlimit&limit=2"))).ok()
    assert deleted.names == ["a", "b"]
    assert (await api.get(maps(namespace, "?labelSelector=of%3Dlimit"))).names == ["c"]


async def test_a_patch_of_an_unknown_kind_is_told_so_first(api: Api, namespace: str) -> None:
    """client-go with CBOR switched on sends one: the media type is refused before the options are looked at."""
    path = f"/api/v1/namespaces/{namespace}/configmaps/a?fieldManager=x&force=true"
    answer = await api.patch(path, {}, "application/apply-patch+cbor")
    assert (answer.status, answer.reason) == (415, "UnsupportedMediaType")
