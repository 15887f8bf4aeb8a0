"""ValidatingAdmissionPolicies: rules in CEL, their params, conditions, variables, messages and actions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from .conftest import Answer, Api

GROUP = "/apis/admissionregistration.k8s.io/v1"
POLICIES, BINDINGS = f"{GROUP}/validatingadmissionpolicies", f"{GROUP}/validatingadmissionpolicybindings"
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE", "DELETE"],
        "resources": ["configmaps"]}  # fmt: skip

Enforce = Callable[..., Awaitable[None]]


def maps(namespace: str, rest: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps{rest}"


def config(name: str = "a", **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


@pytest.fixture
async def enforce(api: Api, namespace: str) -> AsyncIterator[Enforce]:
    """Puts one policy into force in the test's namespace, and waits until it is."""

    async def make(
        validations: list[dict[str, Any]], actions: tuple[str, ...] = ("Deny",), reference: Any = None, **spec: Any
    ) -> None:
        marked = {"expression": "object == null || object.metadata.name != 'probe'", "message": "in force"}
        body = {"matchConstraints": {"resourceRules": [RULE]}, "validations": [marked, *validations], **spec}
        (await api.create(POLICIES, {"metadata": {"name": namespace}, "spec": body})).ok()
        selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
        where = {"namespaceSelector": selector}
        bound: dict[str, Any] = {"policyName": namespace, "validationActions": list(actions), "matchResources": where}
        bound |= {"paramRef": reference} if reference else {}
        (await api.create(BINDINGS, {"metadata": {"name": namespace}, "spec": bound})).ok()
        for _ in range(200):  # other servers take a moment to see it
            found = await api.create(maps(namespace, "?dryRun=All"), config("probe", replicas="1"))
            if "in force" in found.message or any("in force" in each for each in found.warnings):
                return
            await asyncio.sleep(0.05)
        pytest.fail("the policy is not in force")

    yield make
    await api("DELETE", f"{BINDINGS}/{namespace}")
    await api("DELETE", f"{POLICIES}/{namespace}")


def said(answer: Answer, namespace: str, why: str, name: str = "a") -> None:
    words = f"ValidatingAdmissionPolicy '{namespace}' with binding '{namespace}' denied request: {why}"
    assert answer.message == f'configmaps "{name}" is forbidden: {words}'


async def test_a_rule_denies_with_its_own_words_and_reason(api: Api, namespace: str, enforce: Enforce) -> None:
    long = {"expression": "!has(object.data) || object.data.all(k, k.size() < 4)"}
    told = {"expression": "!has(object.data) || !('no' in object.data)", "reason": "Forbidden",
            "messageExpression": "'not ' + object.data.no"}  # fmt: skip
    only = {"name": "no-deletion", "expression": "request.operation != 'DELETE'"}
    await enforce([long, told], matchConditions=[only])
    refused = await api.create(maps(namespace), config(longer="x"))
    assert (refused.status, refused.reason) == (422, "Invalid")
    said(refused, namespace, f"failed expression: {long['expression']}")
    assert refused.body["details"]["kind"] == "configmaps"
    refused = await api.create(maps(namespace), config(no="this"))
    assert (refused.status, refused.reason) == (403, "Forbidden")
    said(refused, namespace, "not this")
    (await api.create(maps(namespace), config(yes="x"))).ok()
    said(await api.patch(maps(namespace, "/a"), {"data": {"no": "change"}}), namespace, "not change")
    (await api("DELETE", maps(namespace, "/a"))).ok()


async def test_variables_and_params_decide(api: Api, namespace: str, enforce: Enforce) -> None:
    (await api.create(maps(namespace), config("limits", most="3"))).ok()
    variables = [
        {"name": "most", "expression": "int(params.data.most)"},
        {
            "name": "wanted",
            "expression": "object != null && 'replicas' in object.data ? int(object.data.replicas) : 0",
        },
    ]
    words = "'at most ' + string(variables.most) + ' in ' + namespaceObject.metadata.name"
    rule = {"expression": "variables.wanted <= variables.most", "messageExpression": words}
    reference = {"name": "limits", "parameterNotFoundAction": "Deny"}
    await enforce([rule], reference=reference, variables=variables, paramKind={"apiVersion": "v1", "kind": "ConfigMap"})
    (await api.create(maps(namespace), config(replicas="3"))).ok()
    said(await api.create(maps(namespace), config("b", replicas="4")), namespace, f"at most 3 in {namespace}", "b")
    (await api.patch(maps(namespace, "/limits"), {"data": {"most": "5"}})).ok()
    (await api.create(maps(namespace), config("b", replicas="4"))).ok()
    (await api("DELETE", maps(namespace, "/limits"))).ok()
    words = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    said(await api.create(maps(namespace), config("c")), namespace, words, "c")


async def test_a_binding_may_only_warn(api: Api, namespace: str, enforce: Enforce) -> None:
    await enforce([{"expression": "has(object.data)", "message": "no data"}], actions=("Warn", "Audit"))
    made = (await api.create(maps(namespace), {"metadata": {"name": "a"}})).ok()
    assert made.warnings == [
        f"Validation failed for ValidatingAdmissionPolicy '{namespace}' with binding '{namespace}': no data"
    ]


@pytest.mark.parametrize(("policy", "status"), [("Fail", 422), ("Ignore", 201)])
async def test_the_failure_policy_decides_on_what_cannot_be_evaluated(
    api: Api, namespace: str, enforce: Enforce, policy: str, status: int
) -> None:
    await enforce([{"expression": "object.data.missing == 'x'"}], failurePolicy=policy)
    found = await api.create(maps(namespace), config(other="x"))
    assert found.status == status
    if status == 422:
        assert "expression 'object.data.missing == 'x'' resulted in error: no such key: missing" in found.message


async def test_a_policy_is_checked_and_has_a_status(api: Api, namespace: str) -> None:
    spec = {"matchConstraints": {"resourceRules": [RULE]}, "validations": [{"expression": "object.("}]}
    refused = await api.create(POLICIES, {"metadata": {"name": namespace}, "spec": spec})
    assert refused.status == 422
    assert 'spec.validations[0].expression: Invalid value: "object.(": compilation failed' in refused.message
    refused = await api.create(POLICIES, {"metadata": {"name": namespace}, "spec": {}})
    fields = [cause["field"] for cause in refused.body["details"]["causes"]]
    assert {"spec.matchConstraints", "spec.validations"} <= set(fields)
    wrong = {"policyName": "x", "validationActions": ["Deny", "Warn"]}
    refused = await api.create(BINDINGS, {"metadata": {"name": namespace}, "spec": wrong})
    assert "must not contain both Deny and Warn" in refused.message
    spec["validations"] = [{"expression": "true"}]
    (await api.create(POLICIES, {"metadata": {"name": namespace}, "spec": spec})).ok()
    for _ in range(200):
        status = (await api.get(f"{POLICIES}/{namespace}")).body.get("status") or {}
        if status.get("typeChecking") == {}:
            break
        await asyncio.sleep(0.05)
    assert (status["observedGeneration"], status["typeChecking"]) == (1, {})
    await api("DELETE", f"{POLICIES}/{namespace}")
