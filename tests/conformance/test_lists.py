"""Lists: at which revision, in which pages, selected by what, in which form."""

from __future__ import annotations

import asyncio
import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from ..controlplane.apiserver.http.conftest import make
from .conftest import MERGE, Api, Target

EXACT = "resourceVersionMatch is forbidden unless resourceVersion is provided"


async def filled(api: Api, namespace: str, count: int = 5, **labels: str) -> str:
    """A collection of config maps c0, c1, ...; its path."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    for index in range(count):
        (await api.create(path, {"metadata": {"name": f"c{index}", "labels": labels}})).ok()
    return path


@pytest.mark.parametrize(
    ("query", "complaints"),
    [
        ("resourceVersionMatch=Exact", [f"resourceVersionMatch: Forbidden: {EXACT}"]),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            ['resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'],
        ),
        (
            "resourceVersionMatch=Nearly&resourceVersion=5",
            ['resourceVersionMatch: Unsupported value: "Nearly": supported values: "Exact", "NotOlderThan", ""'],
        ),
        (
            "resourceVersionMatch=Exact&continue=abc",
            [
                f"resourceVersionMatch: Forbidden: {EXACT}",
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided",
            ],
        ),
        ("sendInitialEvents=true", ["sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"]),
        (
            "watch=1&resourceVersionMatch=NotOlderThan&resourceVersion=5",
            [
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless "
                "sendInitialEvents is provided"
            ],
        ),
        (
            "watch=1&sendInitialEvents=true",
            [
                "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
                "NotOlderThan"
            ],
        ),
    ],
)
async def test_parameters_that_do_not_go_together_are_refused(api: Api, query: str, complaints: list[str]) -> None:
    answer = await api.get(f"/api/v1/configmaps?{query}")
    shown = complaints[0] if len(complaints) == 1 else f"[{', '.join(complaints)}]"
    assert (answer.status, answer.message) == (422, f'ListOptions.meta.k8s.io "" is invalid: {shown}')
    assert len(answer.body["details"]["causes"]) == len(complaints)


async def test_a_list_at_a_revision_is_what_was_there_then(api: Api, namespace: str) -> None:
    path = await filled(api, namespace, 2)
    then = (await api.get(path)).revision
    await api("DELETE", f"{path}/c0")
    await api.create(path, {"metadata": {"name": "new"}})
    exact = (await api.get(f"{path}?resourceVersion={then}&resourceVersionMatch=Exact")).ok()
    assert ("c0" in exact.names, "new" in exact.names, exact.revision) == (True, False, then)
    for query in (
        f"resourceVersion={then}&resourceVersionMatch=NotOlderThan",
        "resourceVersion=0",
        f"resourceVersion={then}",
    ):
        later = (await api.get(f"{path}?{query}")).ok()
        assert ("c0" in later.names, "new" in later.names) == (False, True)
    legacy = (await api.get(f"{path}?resourceVersion={then}&limit=500")).ok()
    assert "c0" in legacy.names


@pytest.mark.parametrize("match", ["", "&resourceVersionMatch=NotOlderThan", "&resourceVersionMatch=Exact"])
async def test_a_list_of_the_future_times_out(api: Api, match: str) -> None:
    answer = await api.get(f"/api/v1/namespaces?resourceVersion=999999999{match}")
    assert (answer.status, answer.reason) == (504, "Timeout")
    assert answer.message.startswith("Timeout: Too large resource version: 999999999, current: ")


async def test_an_object_of_the_future_times_out_too(api: Api) -> None:
    assert (await api.get("/api/v1/namespaces/default?resourceVersion=999999999")).status == 504
    answer = await api.get("/api/v1/namespaces/default?resourceVersion=x")
    assert (answer.status, answer.reason) == (400, "BadRequest")


async def test_pages_tell_how_many_remain_unless_a_selector_hides_it(api: Api, namespace: str) -> None:
    path = await filled(api, namespace, 5, a="b")
    total = len((await api.get(path)).names)
    first = (await api.get(f"{path}?limit=2")).ok()
    assert first.body["metadata"]["remainingItemCount"] == total - 2
    second = (await api.get(f"{path}?limit=100&continue={first.body['metadata']['continue']}")).ok()
    assert "continue" not in second.body["metadata"]
    assert len(second.names) == total - 2
    selected = (await api.get(f"{path}?limit=2&labelSelector=a%3Db")).ok()
    assert selected.body["metadata"]["continue"]
    assert "remainingItemCount" not in selected.body["metadata"]


async def test_a_page_and_a_revision_exclude_each_other(api: Api, namespace: str) -> None:
    path = await filled(api, namespace, 3)
    token = (await api.get(f"{path}?limit=1")).body["metadata"]["continue"]
    answer = await api.get(f"{path}?continue={token}&resourceVersion=5")
    assert (answer.status, answer.message) == (400, "specifying resource version is not allowed when using continue")
    assert (await api.get(f"{path}?continue={token}&resourceVersion=0")).status == 200


async def test_a_list_of_any_revision_has_no_pages(api: Api, namespace: str) -> None:
    path = await filled(api, namespace, 3)
    answer = (await api.get(f"{path}?limit=1&resourceVersion=0")).ok()
    assert {"c0", "c1", "c2"} <= set(answer.names)


async def test_a_page_after_compaction_says_how_to_go_on(tmp_path: Path, target: Target) -> None:
    if target.own is None:
        pytest.skip("needs a server whose history is short")
    import aiohttp

    server = make(tmp_path, arguments=["--etcd-compaction-interval=0.2s"])
    server.start()
    try:
        async with aiohttp.ClientSession() as session:
            api = Api(server.url, session, server.ssl())
            path = await filled(api, "default", 4)
            then = (await api.get(f"{path}?limit=2")).ok()
            token = then.body["metadata"]["continue"]
            async with asyncio.timeout(20):
                while (answer := await api.get(f"{path}?limit=2&continue={token}")).status == 200:
                    await api.patch(f"{path}/c3", {"data": {"n": str(asyncio.get_running_loop().time())}}, MERGE)
            assert (answer.status, answer.reason) == (410, "Expired")
            assert answer.message.startswith("The provided continue parameter is too old to display a consistent list")
            await api.create(path, {"metadata": {"name": "d"}})
            rest = (await api.get(f"{path}?continue={answer.body['metadata']['continue']}")).ok()
            assert rest.names[-3:] == ["c2", "c3", "d"][-3:]
            old = await api.get(f"{path}?resourceVersion={then.revision}&resourceVersionMatch=Exact")
            assert (old.status, old.message) == (410, "The resourceVersion for the provided list is too old.")
        await asyncio.sleep(0.01)
    finally:
        assert server.stop() == 0, server.log()


POD = {"containers": [{"name": "c", "image": "i"}]}
SELECTABLE: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "pods": (
        {"spec": {"nodeName": "n", "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}},
        {"spec.nodeName": "n", "spec.restartPolicy": "Never", "spec.schedulerName": "default-scheduler",
         "spec.serviceAccountName": "default", "spec.hostNetwork": "false", "status.phase": "Pending",
         "status.podIP": "", "status.nominatedNodeName": ""},
    ),
    "secrets": ({"type": "example.com/x"}, {"type": "example.com/x"}),
    "services": (
        {"spec": {"ports": [{"port": 1}], "clusterIP": "None"}},
        {"spec.clusterIP": "None", "spec.type": "ClusterIP"},
    ),
    "replicationcontrollers": (
        {"spec": {"selector": {"a": "b"}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}}},
        {"status.replicas": "0"},
    ),
    "events": (
        {"involvedObject": {"kind": "Pod", "name": "p", "uid": "u"}, "reason": "R", "type": "Normal",
         "source": {"component": "me"}},
        {"involvedObject.kind": "Pod", "involvedObject.name": "p", "involvedObject.uid": "u", "reason": "R",
         "type": "Normal", "source": "me"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("plural", SELECTABLE)
async def test_each_kinds_fields_select(api: Api, namespace: str, plural: str) -> None:
    obj, fields = SELECTABLE[plural]
    path = f"/api/v1/namespaces/{namespace}/{plural}"
    if "involvedObject" in obj:
        obj = {**obj, "involvedObject": {**obj["involvedObject"], "namespace": namespace}}
    (await api.create(path, {"metadata": {"name": "it"}, **obj})).ok()
    for name, value in {**fields, "metadata.name": "it", "metadata.namespace": namespace}.items():
        assert "it" in (await api.get(f"{path}?fieldSelector={name}%3D{value}")).ok().names, name
        assert "it" not in (await api.get(f"{path}?fieldSelector={name}!%3D{value}")).ok().names, name


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/api/v1/pods", "field label not supported: spec.nada"),
        ("/apis/networking.k8s.io/v1/ingresses",
         '"spec.nada" is not a known field selector: only "metadata.name", "metadata.namespace"'),
        ("/apis/batch/v1/jobs", 'field label "spec.nada" not supported for Job'),
        ("/apis/resource.k8s.io/v1/resourceslices",
         "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: spec.nada"),
    ],
)  # fmt: skip
async def test_other_fields_do_not(api: Api, path: str, message: str) -> None:
    for method in ("GET", "DELETE"):
        answer = await api(method, f"{path}?fieldSelector=spec.nada%3Dx")
        assert (answer.status, answer.message) in [(400, message), (405, answer.message)]


async def test_metadata_only(api: Api, namespace: str) -> None:
    path = await filled(api, namespace, 1)
    form = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    listed = (await api.get(path, Accept=form)).ok()
    assert listed.body["kind"] == "PartialObjectMetadataList"
    assert all(set(item) == {"kind", "apiVersion", "metadata"} for item in listed.body["items"])
    one = (await api.get(f"{path}/c0", Accept="application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")).ok()
    assert (one.body["kind"], one.body["metadata"]["name"]) == ("PartialObjectMetadata", "c0")


@pytest.mark.parametrize(("include", "kind"), [("", "PartialObjectMetadata"), ("None", None), ("Object", "ConfigMap")])
async def test_tables_carry_what_they_are_told(api: Api, namespace: str, include: str, kind: str | None) -> None:
    path = await filled(api, namespace, 1)
    form = "application/json;as=Table;g=meta.k8s.io;v=v1"
    table = (await api.get(f"{path}?{f'includeObject={include}' if include else ''}", Accept=form)).ok().body
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    row = next(row for row in table["rows"] if row["cells"][0] == "c0")
    assert (row.get("object") or {}).get("kind") == kind


async def test_what_is_in_no_form_is_not_acceptable(api: Api) -> None:
    answer = await api.get("/api/v1/pods", Accept="text/html")
    assert (answer.status, answer.reason) == (406, "NotAcceptable")


async def test_long_answers_are_compressed_for_who_accepts_it(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    (await api.create(path, {"metadata": {"name": "long"}, "data": {"x": "y" * 200_000}})).ok()
    short = await api.get("/api/v1/namespaces/default", Accept_Encoding="gzip")
    assert "Content-Encoding" not in short.headers
    answer = await api.get(f"{path}/long", Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert re.search(b'"name":"long"', gzip.decompress(answer.raw))


@pytest.mark.parametrize("selector", ["a%20b%20c", "a%20in", "!", "a%3D%3D%3Db", "a%3Db%2C%2C", "%01", "a%20in%20(%2C"])
async def test_no_selector_breaks_a_list(api: Api, selector: str) -> None:
    for name in ("labelSelector", "fieldSelector"):
        assert (await api.get(f"/api/v1/pods?{name}={selector}")).status in (200, 400)


async def test_items_of_built_in_kinds_do_not_repeat_what_the_list_says(api: Api, namespace: str) -> None:
    path = await filled(api, namespace, 2)
    for answer in (await api.get(path), await api.get(f"{path}?limit=1"), await api("DELETE", path)):
        assert answer.ok().body["kind"] == "ConfigMapList"
        assert all("metadata" in item for item in answer.body["items"])
        assert not any("kind" in item or "apiVersion" in item for item in answer.body["items"])
    classes = (await api.get("/apis/scheduling.k8s.io/v1/priorityclasses")).ok().body
    assert not any("kind" in item for item in classes["items"])
    forms = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
    await filled(api, namespace, 1)
    assert {item["kind"] for item in (await api.get(path, **forms)).body["items"]} == {"PartialObjectMetadata"}
