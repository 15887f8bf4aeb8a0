"""CustomResourceDefinitions: what they define is served, checked, defaulted, pruned, shown, and goes with them."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from .conftest import APPLY, JSON_PATCH, STRATEGIC, Answer, Api, Target

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CONTENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 0, "maximum": 10},
                "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                "port": {"x-kubernetes-int-or-string": True},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "maybe": {"type": "string", "nullable": True},
                "code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                "parts": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
                    },
                },
            },
        },
        "status": {"type": "object", "properties": {"ready": {"type": "boolean"}, "size": {"type": "integer"}}},
    },
}


def definition(group: str, **version: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wi"], "categories": ["all"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": CONTENTS},
                    "subresources": {
                        "status": {},
                        "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"},
                    },
                    "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                    "selectableFields": [{"jsonPath": ".spec.color"}],
                    **version,
                }
            ],
        },
    }


def widget(group: str, name: str = "w", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 1, **spec}}


async def established(api: Api, name: str) -> dict[str, Any]:
    for _ in range(400):
        found = (await api.get(f"{DEFINITIONS}/{name}")).body
        conditions = {each["type"]: each["status"] for each in found["status"].get("conditions") or ()}
        if conditions.get("Established") == "True":
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(found)


async def gone(api: Api, path: str) -> None:
    for _ in range(400):
        if (await api.get(path)).status == 404:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(path)


async def defined(api: Api, namespace: str, **version: Any) -> tuple[str, str]:
    """A new definition's group, and the path of its objects in the namespace."""
    group = f"{namespace}.example.com"
    (await api.create(DEFINITIONS, definition(group, **version))).ok()
    await established(api, f"widgets.{group}")
    return group, f"/apis/{group}/v1/namespaces/{namespace}/widgets"


async def test_an_object_is_defaulted_and_pruned_and_unknown_fields_are_told(api: Api, namespace: str) -> None:
    group, widgets = await defined(api, namespace)
    made = (await api.create(widgets, widget(group, port="http", free={"a": {"b": 1}}, maybe=None, extra=1))).ok()
    assert made.body["spec"] == {"size": 1, "port": "http", "free": {"a": {"b": 1}}, "maybe": None, "color": "red"}
    assert made.warnings == ['unknown field "spec.extra"']
    assert made.body["metadata"]["generation"] == 1
    strict = await api.create(f"{widgets}?fieldValidation=Strict", widget(group, "x", extra=1))
    assert (strict.status, strict.reason) == (400, "BadRequest")
    assert 'strict decoding error: unknown field "spec.extra"' in strict.message


async def test_values_are_checked_in_kubernetes_words(api: Api, namespace: str) -> None:
    group, widgets = await defined(api, namespace)

    async def refused(**spec: Any) -> Answer:
        answer = await api.create(widgets, widget(group, **spec))
        assert (answer.status, answer.reason) == (422, "Invalid")
        return answer

    assert (
        'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"'
        in (await refused(size="big")).message
    )
    assert (
        "spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10"
        in (await refused(size=11)).message
    )
    assert (
        'spec.color: Unsupported value: "green": supported values: "red", "blue"'
        in (await refused(color="green")).message
    )
    assert "spec.code in body should match '^[a-z]+$'" in (await refused(code="A")).message
    assert "spec.code: Too long: may not be more than 5 bytes" in (await refused(code="abcdefg")).message
    assert (
        'spec.parts[1]: Duplicate value: {"name":"a"}' in (await refused(parts=[{"name": "a"}, {"name": "a"}])).message
    )
    without = widget(group)
    del without["spec"]["size"]
    answer = await api.create(widgets, without)
    assert answer.body["details"]["causes"] == [
        {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.size"}
    ]


async def test_rules_are_evaluated(api: Api, namespace: str) -> None:
    spec = CONTENTS["properties"]["spec"]
    rules = [
        {"rule": "self.size <= 5 || self.color == 'blue'", "message": "only blue ones are big"},
        {"rule": "self.size >= oldSelf.size", "messageExpression": "'was ' + string(oldSelf.size)"},
    ]
    properties = {**CONTENTS["properties"], "spec": {**spec, "x-kubernetes-validations": rules}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": properties}}
    group, widgets = await defined(api, namespace, schema=schema)
    refused = await api.create(widgets, widget(group, size=6))
    assert refused.status == 422
    assert 'spec: Invalid value: "object": only blue ones are big' in refused.message
    (await api.create(widgets, widget(group, size=6, color="blue"))).ok()
    assert "was 6" in (await api.patch(f"{widgets}/w", {"spec": {"size": 3}})).message


async def test_patches_apply_status_and_scale(api: Api, namespace: str) -> None:
    group, widgets = await defined(api, namespace)
    (await api.create(widgets, widget(group, parts=[{"name": "a", "count": 1}]))).ok()
    assert (await api.patch(f"{widgets}/w", {"spec": {"size": 2}}, STRATEGIC)).status == 415
    merged = (await api.patch(f"{widgets}/w", {"spec": {"size": 2}, "status": {"ready": True}})).ok()
    assert merged.body["metadata"]["generation"] == 2
    assert "status" not in merged.body
    status = (await api.patch(f"{widgets}/w/status", {"status": {"ready": True, "size": 2}, "spec": {"size": 9}})).ok()
    assert (status.body["spec"]["size"], status.body["metadata"]["generation"]) == (2, 2)
    applied = {**widget(group), "spec": {"size": 2, "parts": [{"name": "b", "count": 2}]}}
    answer = await api.patch(f"{widgets}/w?fieldManager=me", applied, APPLY)
    assert [part["name"] for part in answer.ok().body["spec"]["parts"]] == ["a", "b"]
    entry = next(each for each in answer.body["metadata"]["managedFields"] if each["manager"] == "me")
    assert 'k:{"name":"b"}' in entry["fieldsV1"]["f:spec"]["f:parts"]
    scale = (await api.get(f"{widgets}/w/scale")).ok().body
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (2, 2)
    (await api.patch(f"{widgets}/w/scale", {"spec": {"replicas": 4}})).ok()
    assert (await api.get(f"{widgets}/w")).body["spec"]["size"] == 4


async def test_columns_fields_and_discovery(api: Api, namespace: str) -> None:
    group, widgets = await defined(api, namespace)
    for name, color in (("a", "red"), ("b", "blue")):
        (await api.create(widgets, widget(group, name, color=color))).ok()
    table = (await api.get(widgets, Accept="application/json;as=Table;v=v1;g=meta.k8s.io")).ok().body
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Size"]
    assert [row["cells"] for row in table["rows"]] == [["a", 1], ["b", 1]]
    assert (await api.get(f"{widgets}?fieldSelector=spec.color%3Dblue")).names == ["b"]
    assert (await api.get(f"{widgets}?fieldSelector=spec.size%3D1")).status == 400
    entries = (await api.get(f"/apis/{group}/v1")).ok().body["resources"]
    assert [entry["name"] for entry in entries] == ["widgets", "widgets/status", "widgets/scale"]
    assert (entries[0]["shortNames"], entries[0]["categories"]) == (["wi"], ["all"])
    aggregated = await api.get("/apis", Accept="application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
    assert group in [item["metadata"].get("name") for item in aggregated.body["items"]]


async def test_versions_share_their_objects_and_changes_take_effect_at_once(api: Api, namespace: str) -> None:
    group, widgets = await defined(api, namespace)
    (await api.create(widgets, widget(group))).ok()
    changed = (await api.get(f"{DEFINITIONS}/widgets.{group}")).body
    second = {**changed["spec"]["versions"][0], "name": "v2", "storage": False}
    changed["spec"]["versions"].append(second)
    (await api("PUT", f"{DEFINITIONS}/widgets.{group}", changed)).ok()
    shown = (await api.get(f"/apis/{group}/v2/namespaces/{namespace}/widgets/w")).ok().body
    assert (shown["apiVersion"], shown["spec"]["color"]) == (f"{group}/v2", "red")
    assert (await api.get(f"/apis/{group}")).body["preferredVersion"]["version"] == "v2"


async def test_a_definition_goes_with_its_objects(api: Api, namespace: str) -> None:
    group, widgets = await defined(api, namespace)
    (await api.create(widgets, {**widget(group), "metadata": {"name": "w", "finalizers": ["example.com/hold"]}})).ok()
    (await api("DELETE", f"{DEFINITIONS}/widgets.{group}")).ok()
    held = (await api.get(f"{DEFINITIONS}/widgets.{group}")).ok().body
    assert held["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    assert (await api.create(widgets, widget(group, "late"))).status == 405
    (await api.patch(f"{widgets}/w", {"metadata": {"finalizers": None}})).ok()
    await gone(api, f"{DEFINITIONS}/widgets.{group}")
    assert (await api.get(widgets)).status == 404


async def test_names_that_are_taken_are_not_accepted(api: Api, namespace: str) -> None:
    group, _ = await defined(api, namespace)
    other = definition(group)
    other["metadata"]["name"] = f"gadgets.{group}"
    other["spec"]["names"] = {"plural": "gadgets", "kind": "Widget"}
    (await api.create(DEFINITIONS, other)).ok()
    for _ in range(400):
        found = (await api.get(f"{DEFINITIONS}/gadgets.{group}")).body
        if conditions := {each["type"]: each for each in found["status"].get("conditions") or ()}:
            break
        await asyncio.sleep(0.02)
    assert (conditions["NamesAccepted"]["status"], conditions["Established"]["status"]) == ("False", "False")
    (await api("DELETE", f"{DEFINITIONS}/widgets.{group}")).ok()
    await established(api, f"gadgets.{group}")


async def test_a_watch_shows_custom_objects(api: Api, namespace: str) -> None:
    group, widgets = await defined(api, namespace)
    async with api.watch(widgets) as events:
        (await api.create(widgets, widget(group))).ok()
        event = await events.next()
    assert (event["type"], event["object"]["kind"]) == ("ADDED", "Widget")


async def test_custom_objects_survive_the_server(api: Api, namespace: str, target: Target) -> None:
    if target.own is None:
        return
    group, widgets = await defined(api, namespace)
    (await api.create(widgets, widget(group))).ok()
    target.own.stop(signal.SIGKILL)
    target.own.start()
    assert (await api.get(f"{widgets}/w")).ok().body["spec"]["color"] == "red"


async def test_the_schema_is_published_for_kubectl_explain(api: Api, namespace: str) -> None:
    group, _ = await defined(api, namespace)
    index = (await api.get("/openapi/v3")).ok().body["paths"]
    document = (await api.get(index[f"apis/{group}/v1"]["serverRelativeURL"])).ok().body
    kinds = [
        node
        for node in document["components"]["schemas"].values()
        if {"group": group, "version": "v1", "kind": "Widget"} in node.get("x-kubernetes-group-version-kind", ())
    ]
    assert kinds[0]["properties"]["spec"]["properties"]["size"]["maximum"] == 10


async def test_schemas_that_are_not_structural_are_refused(api: Api, namespace: str) -> None:
    made = definition(f"{namespace}.example.com")
    made["spec"]["versions"][0]["schema"] = {
        "openAPIV3Schema": {"type": "object", "properties": {"a": {"type": "array"}, "b": {"pattern": "("}}}
    }
    message = (await api.create(DEFINITIONS, made)).message
    where = "spec.versions[0].schema.openAPIV3Schema.properties"
    assert f"{where}[a].items: Required value: must be specified" in message
    assert f"{where}[b].type: Required value: must not be empty for specified object fields" in message
    assert f'{where}[b].pattern: Invalid value: "("' in message


async def test_a_json_patch_changes_a_custom_object_and_fails_as_a_whole(api: Api, namespace: str) -> None:
    group, widgets = await defined(api, namespace)
    (await api.create(widgets, widget(group, parts=[{"name": "a"}]))).ok()
    patch = [
        {"op": "test", "path": "/spec/size", "value": 1},
        {"op": "add", "path": "/spec/parts/-", "value": {"name": "b", "count": 2}},
        {"op": "replace", "path": "/spec/size", "value": 3},
    ]
    found = (await api.patch(f"{widgets}/w", patch, JSON_PATCH)).ok().body
    assert (found["spec"]["size"], found["spec"]["parts"]) == (3, [{"name": "a"}, {"name": "b", "count": 2}])
    assert found["metadata"]["generation"] == 2
    assert (await api.patch(f"{widgets}/w", patch, JSON_PATCH)).status == 422
    too_big = [{"op": "replace", "path": "/spec/size", "value": 99}]
    assert (await api.patch(f"{widgets}/w", too_big, JSON_PATCH)).reason == "Invalid"
    assert (await api.get(f"{widgets}/w")).body["spec"] == found["spec"]


async def test_a_dry_run_shows_what_would_be_and_stores_nothing(api: Api, namespace: str) -> None:
    group, widgets = await defined(api, namespace)
    shown = (await api.create(f"{widgets}?dryRun=All", widget(group))).ok().body
    assert (shown["spec"], bool(shown["metadata"]["uid"])) == ({"size": 1, "color": "red"}, True)
    assert (await api.get(f"{widgets}/w")).status == 404
    assert (await api.create(f"{widgets}?dryRun=All", widget(group, size=99))).status == 422
    made = (await api.create(widgets, widget(group))).ok().body
    for path in (f"{widgets}/w", f"{widgets}/w/scale"):
        (await api.patch(f"{path}?dryRun=All", {"spec": {}})).ok()
    changed = (await api.patch(f"{widgets}/w?dryRun=All", {"spec": {"size": 5}})).ok().body
    assert (changed["spec"]["size"], changed["metadata"]["generation"]) == (5, 2)
    (await api.patch(f"{widgets}/w/status?dryRun=All", {"status": {"ready": True}})).ok()
    applied = {**widget(group, size=7), "metadata": {"name": "new"}}
    assert (await api.apply(f"{widgets}/new?dryRun=All", applied, "me")).ok().body["spec"]["size"] == 7
    (await api("DELETE", f"{widgets}/w?dryRun=All")).ok()
    assert (await api.get(widgets)).body["items"] == [made]


async def test_an_embedded_object_is_one_and_keeps_what_its_schema_does_not_name(api: Api, namespace: str) -> None:
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    pruned = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer"}}}},
    }
    spec = {"type": "object", "properties": {"free": embedded, "exact": pruned}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    group, widgets = await defined(api, namespace, schema=schema, subresources={}, selectableFields=[])
    inner = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "b"}}, "spec": {"n": 1}}

    def body(name: str, **spec: Any) -> dict[str, Any]:
        return {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}

    made = (await api.create(widgets, body("w", free={**inner, "more": 1}, exact={**inner, "more": 1}))).ok().body
    assert made["spec"] == {"free": {**inner, "more": 1}, "exact": inner}
    refused = await api.create(widgets, body("x", free={"metadata": {"name": "p"}}))
    assert refused.status == 422
    assert "spec.free.apiVersion: Required value: must not be empty" in refused.message
    assert "spec.free.kind: Required value: must not be empty" in refused.message
    wrong = await api.create(widgets, body("x", free={**inner, "metadata": {"name": "p", "labels": {"a": "-"}}}))
    assert (wrong.status, "spec.free.metadata.labels: Invalid value" in wrong.message) == (422, True)


async def test_watches_end_when_the_definition_changes_or_goes(api: Api, namespace: str) -> None:
    group, widgets = await defined(api, namespace)
    (await api.create(widgets, widget(group))).ok()
    async with api.watch(widgets) as events:
        assert (await events.next())["type"] == "ADDED"
        changed = (await api.get(f"{DEFINITIONS}/widgets.{group}")).body
        properties = changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        properties["spec"]["properties"]["extra"] = {"type": "string", "default": "new"}
        (await api("PUT", f"{DEFINITIONS}/widgets.{group}", changed)).ok()
        assert await events.rest() == []
    async with api.watch(widgets) as events:
        assert (await events.next())["object"]["spec"]["extra"] == "new"
        (await api("DELETE", f"{DEFINITIONS}/widgets.{group}")).ok()
        assert {event["type"] for event in await events.rest()} <= {"MODIFIED", "DELETED"}
    await gone(api, f"{DEFINITIONS}/widgets.{group}")


async def test_custom_kinds_are_in_openapi_v2(api: Api, namespace: str) -> None:
    group, _ = await defined(api, namespace)
    document = (await api.get("/openapi/v2")).ok().body
    (found,) = [
        node
        for node in document["definitions"].values()
        if {"group": group, "version": "v1", "kind": "Widget"} in node.get("x-kubernetes-group-version-kind", ())
    ]
    assert found["properties"]["spec"]["properties"]["color"]["type"] == "string"
    assert found["properties"]["metadata"]["$ref"].endswith("ObjectMeta")
    assert "nullable" not in found["properties"]["spec"]["properties"]["maybe"]
    assert f"/apis/{group}/v1/namespaces/{{namespace}}/widgets/{{name}}" in document["paths"]
    (await api("DELETE", f"{DEFINITIONS}/widgets.{group}")).ok()
    await gone(api, f"{DEFINITIONS}/widgets.{group}")
    assert group not in str((await api.get("/openapi/v2")).ok().body["paths"].keys())


async def test_a_definition_of_the_shape_that_large_projects_publish_is_applied(api: Api, namespace: str) -> None:
    """Rules over lists, raw strings, list maps of two keys, choices, quantities, durations and several versions."""
    group = f"{namespace}.example.com"
    listener = {
        "type": "object",
        "required": ["name", "port", "protocol"],
        "properties": {
            "name": {"type": "string", "maxLength": 63},
            "port": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 65535},
            "protocol": {"type": "string", "maxLength": 16, "default": "TCP"},
            "secret": {"type": "string", "maxLength": 63},
        },
    }
    listeners = {
        "type": "array",
        "maxItems": 16,
        "items": listener,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["port", "protocol"],
        "x-kubernetes-validations": [
            {"rule": "self.all(a, a.protocol == 'TCP' ? !has(a.secret) : true)", "message": "no secret for TCP"},
            {"rule": "self.all(a, self.exists_one(b, a.name == b.name))", "message": "names must be unique"},
        ],
    }
    path = {
        "type": "string",
        "maxLength": 64,
        "x-kubernetes-validations": [{"rule": 'self.matches(r"""^/[a-z/]*$""")', "message": "must be a path"}],
    }
    memory = {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "pattern": r"^(\+|-)?[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|m|k|M|G)?$",
    }
    properties = {"listeners": listeners, "path": path, "memory": memory, "every": {"type": "string"}}
    choice = {"oneOf": [{"required": ["path"]}, {"required": ["every"]}]}
    spec = {"type": "object", "properties": properties, **choice}
    schema = {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {"spec": spec}}}
    body = definition(group, schema=schema, subresources={"status": {}}, selectableFields=[])
    first = body["spec"]["versions"][0]
    body["spec"]["versions"].append({**first, "name": "v1beta1", "storage": False, "deprecated": True})
    (await api.apply(f"{DEFINITIONS}/widgets.{group}", body, "installer")).ok()
    await established(api, f"widgets.{group}")
    widgets = f"/apis/{group}/v1/namespaces/{namespace}/widgets"

    def sample(*listeners: dict[str, Any], **spec: Any) -> dict[str, Any]:
        spec = {"path": "/a/b", "memory": "2Gi", "listeners": list(listeners), **spec}
        return {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec}

    one = {"name": "a", "port": 80, "protocol": "TCP"}
    other = {"name": "b", "port": 80, "protocol": "TLS", "secret": "s"}
    (await api.apply(f"{widgets}/w", sample(one), "one")).ok()
    found = (await api.apply(f"{widgets}/w", sample(other), "other")).ok().body
    assert found["spec"]["listeners"] == [one, other]
    old = await api.get(widgets.replace("/v1/", "/v1beta1/"))
    assert old.ok().names == ["w"]
    assert old.warnings == [f"{group}/v1beta1 Widget is deprecated; use {group}/v1 Widget"]
    for wrong, words in (
        (sample({**one, "secret": "s"}), "no secret for TCP"),
        (sample(one, {**other, "name": "a"}), "names must be unique"),
        (sample(one, path="a"), "must be a path"),
        (sample(one, memory="lots"), "spec.memory"),
        (sample(one, every="1h"), "must validate one and only one schema (oneOf)"),
    ):
        refused = await api.create(widgets, {**wrong, "metadata": {"name": "x"}})
        assert (refused.status, words in refused.message) == (422, True), refused.message
