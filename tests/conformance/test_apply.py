"""Server-side apply and who owns what: conflicts with causes, force, giving up, lists by their keys, subresources."""

from __future__ import annotations

from typing import Any

from .conftest import APPLY, JSON_PATCH, MERGE, STRATEGIC, Api
from .test_writes import deployment, deployments, maps


def a_map(name: str = "a", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def managers(obj: dict[str, Any]) -> set[tuple[str, str, str]]:
    entries = obj["metadata"].get("managedFields") or ()
    return {(each["manager"], each["operation"], each.get("subresource", "")) for each in entries}


async def test_a_conflict_names_its_causes_and_force_wins(api: Api, namespace: str) -> None:
    path = maps(namespace, "/a")
    await api.apply(path, a_map(x="1", y="1"), "one")
    refused = await api.apply(path, a_map(x="2", y="2"), "two")
    assert (refused.status, refused.reason) == (409, "Conflict")
    assert refused.message == 'Apply failed with 2 conflicts: conflicts with "one":\n- .data.x\n- .data.y'
    causes = [(each["reason"], each["message"], each["field"]) for each in refused.body["details"]["causes"]]
    assert causes == [("FieldManagerConflict", 'conflict with "one"', f".data.{key}") for key in "xy"]
    forced = (await api.apply(f"{path}?force=true", a_map(x="2"), "two")).ok().body
    assert forced["data"] == {"x": "2", "y": "1"}
    alone = await api.apply(path, a_map(x="1", y="1"), "one")
    assert alone.message == 'Apply failed with 1 conflict: conflict with "two": .data.x'


async def test_what_a_manager_no_longer_applies_goes_unless_somebody_else_has_it(api: Api, namespace: str) -> None:
    path = maps(namespace, "/a")
    await api.apply(path, a_map(mine="1", shared="1"), "one")
    await api.apply(path, a_map(shared="1", other="1"), "two")
    nothing = {key: value for key, value in a_map().items() if key != "data"}
    left = (await api.apply(path, nothing, "one")).ok().body
    assert left["data"] == {"shared": "1", "other": "1"}
    assert managers(left) == {("two", "Apply", "")}


async def test_lists_merge_by_their_keys(api: Api, namespace: str) -> None:
    path = deployments(namespace, "/d")
    await api.create(f"{deployments(namespace)}?fieldManager=author", deployment())

    def applied(*containers: dict[str, Any]) -> dict[str, Any]:
        spec = {"template": {"spec": {"containers": list(containers)}}}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}

    port = {"containerPort": 80}
    await api.apply(path, applied({"name": "c", "ports": [port]}, {"name": "side", "image": "s"}), "injector")
    containers = (await api.get(path)).body["spec"]["template"]["spec"]["containers"]
    assert [(each["name"], each["image"]) for each in containers] == [("c", "i:1"), ("side", "s")]
    assert containers[0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    refused = await api.apply(path, applied({"name": "c", "image": "i:2"}), "injector")
    field = '.spec.template.spec.containers[name="c"].image'
    assert refused.message == f'Apply failed with 1 conflict: conflict with "author" using apps/v1: {field}'
    await api.apply(path, applied(), "injector")
    containers = (await api.get(path)).body["spec"]["template"]["spec"]["containers"]
    assert [(each["name"], "ports" in each) for each in containers] == [("c", False)]


async def test_every_kind_of_patch_reaches_objects_and_subresources(api: Api, namespace: str) -> None:
    await api.create(deployments(namespace), deployment())
    path = deployments(namespace, "/d")
    for number, (media, body) in enumerate(
        [
            (MERGE, {"spec": {"replicas": 2}}),
            (STRATEGIC, {"spec": {"replicas": 3}}),
            (JSON_PATCH, [{"op": "replace", "path": "/spec/replicas", "value": 4}]),
        ],
        start=2,
    ):
        assert (await api.patch(path, body, media)).ok().body["spec"]["replicas"] == number
        if media != STRATEGIC:
            assert (await api.patch(f"{path}/scale", body, media)).ok().body["spec"]["replicas"] == number
    for number, (media, body) in enumerate(
        [
            (MERGE, {"status": {"replicas": 2}}),
            (STRATEGIC, {"status": {"replicas": 3}}),
            (JSON_PATCH, [{"op": "replace", "path": "/status/replicas", "value": 4}]),
        ],
        start=2,
    ):
        changed = (await api.patch(f"{path}/status", body, media)).ok().body
        assert (changed["status"]["replicas"], changed["spec"]["replicas"]) == (number, 4)
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 9}}
    refused = await api.apply(f"{path}/scale", scale, "scaler")
    assert [each["field"] for each in refused.body["details"]["causes"]] == [".spec.replicas"]
    assert (await api.apply(f"{path}/scale?force=true", scale, "scaler")).ok().body["spec"]["replicas"] == 9
    condition = {"type": "Odd", "status": "True"}
    status = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}
    await api.apply(f"{path}/status", {**status, "status": {"conditions": [condition]}}, "watcher")
    now = (await api.get(path)).body
    assert {("scaler", "Apply", "scale"), ("watcher", "Apply", "status")} <= managers(now)


async def test_writes_take_ownership_and_an_empty_list_resets_it(api: Api, namespace: str) -> None:
    path = maps(namespace, "/a")
    await api.create(f"{maps(namespace)}?fieldManager=one", a_map(x="1", y="1"))
    changed = (await api.patch(f"{path}?fieldManager=two", {"data": {"x": "2"}})).ok().body
    owned = {each["manager"]: each["fieldsV1"]["f:data"] for each in changed["metadata"]["managedFields"]}
    assert owned == {"one": {".": {}, "f:y": {}}, "two": {"f:x": {}}}
    nonsense = [{"manager": "z", "operation": "Odd", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": 3}}]
    kept = (await api.patch(path, {"metadata": {"managedFields": nonsense}})).ok().body
    assert {each["manager"] for each in kept["metadata"]["managedFields"]} == {"one", "two"}
    reset = (await api.patch(path, {"metadata": {"managedFields": [{}]}})).ok().body
    assert "managedFields" not in reset["metadata"]


async def test_a_configuration_says_what_it_is(api: Api, namespace: str) -> None:
    path = maps(namespace, "/a")
    kindless = await api.patch(f"{path}?fieldManager=m", b"metadata: {name: a}", APPLY)
    assert (kindless.status, "Object 'Kind' is missing" in kindless.message) == (400, True)
    other = await api.apply(path, {**a_map(), "apiVersion": "v2"}, "m")
    assert other.message == ("Incorrect version specified in apply patch. Specified patch version: v2, expected: v1")
    owned = {**a_map(), "metadata": {"name": "a", "managedFields": [{"manager": "x"}]}}
    assert (await api.apply(path, owned, "m")).message == "metadata.managedFields must be nil"
    nobody = await api.patch(path, a_map(), APPLY)
    assert nobody.message.endswith("fieldManager: Required value: is required for apply patch")
    created = await api.apply(path, a_map(), "m")
    assert created.status == 201


async def test_kubectls_annotation_moves_to_server_side_apply(api: Api, namespace: str) -> None:
    last = (
        '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"annotations":{},"name":"a"},"data":{"x":"1","gone":"1"}}\n'
    )
    body = a_map(x="1", gone="1")
    body["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": last}
    await api.create(f"{maps(namespace)}?fieldManager=kubectl-client-side-apply", body)
    moved = await api.apply(maps(namespace, "/a"), a_map(x="2", gone="1"), "kubectl")
    assert moved.ok().body["data"] == {"x": "2", "gone": "1"}
    stranger = await api.apply(maps(namespace, "/a"), a_map(x="3"), "stranger")
    assert stranger.reason == "Conflict"
