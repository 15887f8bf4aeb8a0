"""An autoscaler, a StatefulSet's claims and a Job's policies as a user meets them; only the kubelets are played."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from panal.client import Client
from panal.errors import NotFound
from panal.resources import (
    CLUSTERROLES,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    PERSISTENTVOLUMECLAIMS,
    PODS,
    STATEFULSETS,
    resource,
)

Object = dict[str, Any]
Eventually = Callable[..., Awaitable[Any]]
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
SELECTOR = {"matchLabels": {"app": "web"}}


def thing(api_version: str, kind: str, **spec: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "web"}, "spec": spec}


async def test_an_autoscaler_keeps_the_minimum_and_says_what_it_lacks(
    client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    await client.create(
        DEPLOYMENTS, thing("apps/v1", "Deployment", replicas=1, selector=SELECTOR, template=TEMPLATE), namespace
    )
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    autoscalers = resource("horizontalpodautoscalers")
    body = thing("autoscaling/v2", "HorizontalPodAutoscaler", minReplicas=3, maxReplicas=5, scaleTargetRef=target)
    await client.create(autoscalers, body, namespace)

    async def grown() -> bool:
        return bool((await client.get(DEPLOYMENTS, "web", namespace))["spec"]["replicas"] == 3)

    await eventually(grown)

    async def told() -> bool:
        events = (await client.list(EVENTS, namespace))["items"]
        said = "New size: 3; reason: Current number of replicas below Spec.MinReplicas"
        return any((event["reason"], event["message"]) == ("SuccessfulRescale", said) for event in events)

    await eventually(told)
    await client.patch(autoscalers, "web", {"spec": {"maxReplicas": 6}}, namespace)

    async def inactive() -> bool:
        conditions = (await client.get(autoscalers, "web", namespace))["status"].get("conditions") or ()
        return any((c["type"], c["status"]) == ("ScalingActive", "False") for c in conditions)

    await eventually(inactive)


async def test_claims_go_with_the_pod_that_is_scaled_away(
    client: Client, namespace: str, nodes: Any, eventually: Eventually, local_path: None
) -> None:
    access = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    spec = {
        "replicas": 2,
        "serviceName": "web",
        "podManagementPolicy": "Parallel",
        "selector": SELECTOR,
        "template": TEMPLATE,
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": access}],
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Delete"},
    }
    await client.create(STATEFULSETS, thing("apps/v1", "StatefulSet", **spec), namespace)

    async def claims(*wanted: str) -> bool:
        found = [item["metadata"] for item in (await client.list(PERSISTENTVOLUMECLAIMS, namespace))["items"]]
        return sorted(meta["name"] for meta in found if not meta.get("deletionTimestamp")) == sorted(wanted)

    await eventually(lambda: claims("data-web-0", "data-web-1"))
    await client.patch(STATEFULSETS, "web", {"spec": {"replicas": 1}}, namespace)
    await eventually(lambda: claims("data-web-0"))


async def test_a_job_fails_by_its_policy_and_leaves_no_finalizer(
    client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    template = {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    job = thing("batch/v1", "Job", parallelism=2, completions=2, template=template, podFailurePolicy={"rules": [rule]})
    await client.create(JOBS, job, namespace)

    async def running() -> list[Object]:
        pods = (await client.list(PODS, namespace))["items"]
        return pods if len(pods) == 2 and all(pod["status"]["phase"] == "Running" for pod in pods) else []

    first = (await eventually(running))[0]["metadata"]["name"]
    ended = {"terminated": {"exitCode": 42, "finishedAt": "2026-01-01T00:00:00Z"}}
    status = {"name": "c", "image": "nginx", "imageID": "", "ready": False, "restartCount": 0, "state": ended}
    patch = {"status": {"phase": "Failed", "containerStatuses": [status]}}
    await client.patch(PODS, first, patch, namespace, subresource="status")

    async def failed() -> bool:
        conditions = (await client.get(JOBS, "web", namespace)).get("status", {}).get("conditions") or ()
        return [(c["type"], c["reason"]) for c in conditions][-1:] == [("Failed", "PodFailurePolicy")]

    await eventually(failed)
    assert all(not p["metadata"].get("finalizers") for p in (await client.list(PODS, namespace))["items"])


async def test_an_aggregated_role_follows_the_roles_it_sums(client: Client, plane: Any, eventually: Eventually) -> None:
    def role(name: str, labels: dict[str, str], *rules: Object) -> Object:
        meta = {"name": name, "labels": labels}
        return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": meta, "rules": rules}

    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    selector = {"matchLabels": {"cakes": "yes"}}
    await client.create(CLUSTERROLES, {**role("sum", {}), "aggregationRule": {"clusterRoleSelectors": [selector]}})
    await client.create(CLUSTERROLES, role("part", {"cakes": "yes"}, rule))

    async def summed(*wanted: Object) -> bool:
        return ((await client.get(CLUSTERROLES, "sum")).get("rules") or []) == list(wanted)

    await eventually(lambda: summed(rule))
    try:
        await client.delete(CLUSTERROLES, "part")
    except NotFound:
        pass
    await eventually(lambda: summed())
