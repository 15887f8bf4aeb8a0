"""MutatingAdmissionPolicies: patches and applied fields in CEL, in order, seen again, and when they fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from .conftest import Api

GROUP = "/apis/admissionregistration.k8s.io/v1"
POLICIES, BINDINGS = f"{GROUP}/mutatingadmissionpolicies", f"{GROUP}/mutatingadmissionpolicybindings"
RULE = {"apiGroups": ["", "apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
        "resources": ["configmaps", "deployments"]}  # fmt: skip
MARK = "Object{metadata: Object.metadata{annotations: {'%s': 'in force'}}}"

Enforce = Callable[..., Awaitable[None]]


def applying(expression: str) -> dict[str, Any]:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def patching(expression: str) -> dict[str, Any]:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


def maps(namespace: str, rest: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps{rest}"


def config(name: str = "a", **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


def deployment(name: str) -> dict[str, Any]:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "own", "image": "i"}]}}
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}


@pytest.fixture
async def enforce(api: Api, namespace: str) -> AsyncIterator[Enforce]:
    """Puts policies into force in the test's namespace, one after the other, and waits until they are."""
    names: list[str] = []

    async def make(*mutations: dict[str, Any], again: str = "Never", reference: Any = None, **spec: Any) -> None:
        name = f"{namespace}-{len(names)}"
        mark = applying(MARK % name)
        body = {"matchConstraints": {"resourceRules": [RULE]}, "reinvocationPolicy": again, **spec}
        body["mutations"] = [mark, *mutations]
        (await api.create(POLICIES, {"metadata": {"name": name}, "spec": body})).ok()
        names.append(name)
        selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
        bound: dict[str, Any] = {"policyName": name, "matchResources": {"namespaceSelector": selector}}
        bound |= {"paramRef": reference} if reference else {}
        (await api.create(BINDINGS, {"metadata": {"name": name}, "spec": bound})).ok()
        for _ in range(200):  # other servers take a moment to see it
            found = await api.create(maps(namespace, "?dryRun=All"), config("probe"))
            if found.status != 201 or name in str(found.body["metadata"].get("annotations")):
                return
            await asyncio.sleep(0.05)
        pytest.fail("the policy is not in force")

    yield make
    for name in names:
        await api("DELETE", f"{BINDINGS}/{name}")
        await api("DELETE", f"{POLICIES}/{name}")


async def test_applied_fields_are_merged_and_get_defaults(api: Api, namespace: str, enforce: Enforce) -> None:
    side = "Object.spec.template.spec.containers{name: 'side', image: 'busybox:' + object.metadata.name}"
    pod = f"Object.spec.template.spec{{containers: [{side}]}}"
    template = f"Object.spec.template{{spec: {pod}}}"
    await enforce(
        applying(f"has(object.spec) ? Object{{spec: Object.spec{{replicas: 3, template: {template}}}}} : Object{{}}")
    )
    body = deployment("x")
    made = (await api.create(f"/apis/apps/v1/namespaces/{namespace}/deployments?dryRun=All", body)).ok().body["spec"]
    found = {each["name"]: each for each in made["template"]["spec"]["containers"]}
    assert (made["replicas"], found["own"]["image"], found["side"]["image"]) == (3, "i", "busybox:x")
    assert found["side"]["imagePullPolicy"] == "IfNotPresent"


async def test_a_json_patch_has_values_of_the_request_and_of_variables(
    api: Api, namespace: str, enforce: Enforce
) -> None:
    key = "'/data/' + jsonpatch.escapeKey(variables.key)"
    await enforce(
        patching(f"has(object.data) ? [JSONPatch{{op: 'add', path: {key}, value: request.operation}}] : []"),
        variables=[{"name": "key", "expression": "'who~'.replace('~', '.')"}],
    )
    made = (await api.create(maps(namespace), config(a="b"))).ok().body
    assert made["data"] == {"a": "b", "who.": "CREATE"}
    changed = (await api.patch(maps(namespace, "/a"), {"data": {"a": "c"}})).ok().body
    assert changed["data"] == {"a": "c", "who.": "UPDATE"}


async def test_policies_follow_each_other_and_look_again_if_needed(api: Api, namespace: str, enforce: Enforce) -> None:
    count = "Object{data: {'seen': string(size(object.data))}}"
    await enforce(applying(f"has(object.data) ? {count} : Object{{}}"), again="IfNeeded")
    await enforce(applying("has(object.data) ? Object{data: {'more': 'x'}} : Object{}"))
    made = (await api.create(maps(namespace), config(a="b"))).ok().body
    assert made["data"] == {"a": "b", "more": "x", "seen": "3"}


async def test_a_mutation_that_fails_denies_unless_that_is_ignored(api: Api, namespace: str, enforce: Enforce) -> None:
    broken = patching("has(object.data) ? [JSONPatch{op: 'remove', path: '/data/none'}] : []")
    await enforce(broken, failurePolicy="Ignore")
    assert (await api.create(maps(namespace, "?dryRun=All"), config(a="b"))).ok().body["data"] == {"a": "b"}
    await enforce(broken)
    refused = await api.create(maps(namespace, "?dryRun=All"), config(a="b"))
    name = f"{namespace}-1"
    assert (refused.status, refused.reason) == (422, "Invalid")
    words = f"policy '{name}' with binding '{name}' denied request: "
    assert refused.message.startswith(f'configmaps "a" is forbidden: {words}')


async def test_atomic_parts_are_not_changed_piece_by_piece(api: Api, namespace: str, enforce: Enforce) -> None:
    changed = "Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {'c': 'd'}}}}"
    await enforce(applying(f"has(object.spec) ? {changed} : Object{{}}"))
    body = deployment("x")
    refused = await api.create(f"/apis/apps/v1/namespaces/{namespace}/deployments?dryRun=All", body)
    assert refused.message.endswith("may not mutate atomic arrays, maps or structs: .spec.selector")


async def test_params_and_conditions_decide(api: Api, namespace: str, enforce: Enforce) -> None:
    (await api.create(maps(namespace), config("limits", team="blue"))).ok()
    reference = {"name": "limits", "namespace": namespace, "parameterNotFoundAction": "Deny"}
    await enforce(
        applying("Object{metadata: Object.metadata{labels: {'team': params.data.team}}}"),
        reference=reference,
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        matchConditions=[{"name": "not-mine", "expression": "object.metadata.name != 'mine'"}],
    )
    assert (await api.create(maps(namespace), config("x"))).ok().body["metadata"]["labels"] == {"team": "blue"}
    assert "labels" not in (await api.create(maps(namespace), config("mine"))).ok().body["metadata"]
