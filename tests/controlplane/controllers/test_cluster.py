"""The controllers and the scheduler as real processes against a real API server; only the kubelets are played."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from panal.client import Client
from panal.errors import NotFound
from panal.resources import (
    CONFIGMAPS,
    DAEMONSETS,
    DEPLOYMENTS,
    ENDPOINTS,
    ENDPOINTSLICES,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    PRIORITYCLASSES,
    REPLICASETS,
    SERVICEACCOUNTS,
    SERVICES,
    STATEFULSETS,
)

Object = dict[str, Any]
Eventually = Callable[..., Awaitable[Any]]


def deployment(name: str = "web", replicas: int = 3, image: str = "nginx:1", **spec: Any) -> Object:
    container = {"name": "web", "image": image, "ports": [{"containerPort": 80, "name": "http"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
            **spec,
        },
    }


async def items(client: Client, resource: Any, namespace: str) -> list[Object]:
    return (await client.list(resource, namespace))["items"]  # type: ignore[no-any-return]


async def settled(client: Client, namespace: str, name: str, replicas: int) -> bool:
    found = await client.get(DEPLOYMENTS, name, namespace)
    status, generation = found.get("status", {}), found["metadata"].get("generation", 0)
    counts = [status.get(field, 0) for field in ("replicas", "updatedReplicas", "availableReplicas")]
    return counts == [replicas] * 3 and status.get("observedGeneration", 0) >= generation


async def test_a_deployment_becomes_pods_on_nodes_within_moments(
    client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    await eventually(lambda: schedulable(client, "a", "b"))
    begun = time.monotonic()
    await client.create(DEPLOYMENTS, deployment(replicas=3), namespace)
    await eventually(lambda: settled(client, namespace, "web", 3))
    assert time.monotonic() - begun < 3
    pods = await items(client, PODS, namespace)
    assert sorted(pod["spec"]["nodeName"] for pod in pods) in (["a", "a", "b"], ["a", "b", "b"])
    (rs,) = await items(client, REPLICASETS, namespace)
    assert all(pod["metadata"]["ownerReferences"][0]["uid"] == rs["metadata"]["uid"] for pod in pods)
    assert rs["status"]["readyReplicas"] == 3


async def schedulable(client: Client, *names: str) -> bool:
    found = [await client.get(NODES, name) for name in names]
    return all(not node["spec"].get("taints") for node in found)


async def test_a_rolling_update_never_has_fewer_pods_than_allowed(
    client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await client.create(DEPLOYMENTS, deployment(strategy=rolling), namespace)
    await eventually(lambda: settled(client, namespace, "web", 3))
    fewest = 3

    async def watch() -> None:
        nonlocal fewest
        while True:
            pods = await items(client, PODS, namespace)
            fewest = min(fewest, sum(is_ready(pod) for pod in pods if not pod["metadata"].get("deletionTimestamp")))
            await asyncio.sleep(0.005)

    watching = asyncio.get_running_loop().create_task(watch())
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx:2"}]}}}}
    await client.patch(DEPLOYMENTS, "web", patch, namespace, kind="strategic")
    await eventually(lambda: settled(client, namespace, "web", 3))
    watching.cancel()
    assert fewest == 3
    pods = [pod for pod in await items(client, PODS, namespace) if not pod["metadata"].get("deletionTimestamp")]
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {"nginx:2"}


def is_ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", ()))


async def test_a_deleted_pod_is_replaced_and_an_extra_one_removed(
    client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    await client.create(DEPLOYMENTS, deployment(replicas=2), namespace)
    await eventually(lambda: settled(client, namespace, "web", 2))
    before = {pod["metadata"]["name"] for pod in await items(client, PODS, namespace)}
    await client.delete(PODS, sorted(before)[0], namespace)

    async def replaced() -> bool:
        now = {pod["metadata"]["name"] for pod in await items(client, PODS, namespace)}
        return len(now) == 2 and now != before

    await eventually(replaced)
    await eventually(lambda: settled(client, namespace, "web", 2))


async def test_a_service_has_its_pods_in_a_slice_and_in_endpoints(
    client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 8080, "targetPort": "http"}]},
    }
    await client.create(SERVICES, service, namespace)
    await client.create(DEPLOYMENTS, deployment(replicas=2), namespace)
    await eventually(lambda: settled(client, namespace, "web", 2))

    async def listed() -> bool:
        found = [item for item in await items(client, ENDPOINTSLICES, namespace) if item["endpoints"]]
        assert len(found) == 1
        ready = [each for each in found[0]["endpoints"] if each["conditions"]["ready"]]
        assert found[0]["ports"] == [{"name": "http", "port": 80, "protocol": "TCP"}]
        old = await client.get(ENDPOINTS, "web", namespace)
        return len(ready) == 2 and len(old["subsets"][0].get("addresses", ())) == 2

    await eventually(listed)
    await client.delete(SERVICES, "web", namespace)

    async def gone() -> bool:
        return not await items(client, ENDPOINTSLICES, namespace) and not await items(client, ENDPOINTS, namespace)

    await eventually(gone)


async def test_a_daemonset_runs_on_every_node_and_on_those_that_come(
    client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    daemon = deployment("agent")
    daemon["kind"] = "DaemonSet"
    del daemon["spec"]["replicas"]
    await client.create(DAEMONSETS, daemon, namespace)

    async def on(*names: str) -> bool:
        pods = await items(client, PODS, namespace)
        status = (await client.get(DAEMONSETS, "agent", namespace)).get("status", {})
        where = sorted(pod["spec"].get("nodeName", "") for pod in pods)
        return where == sorted(names) and status.get("numberAvailable") == len(names)

    await eventually(lambda: on("a", "b"))
    await nodes.add("c")
    await eventually(lambda: on("a", "b", "c"))


async def test_a_namespace_gets_its_account_and_its_ca_and_can_be_deleted_with_all_in_it(
    client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    async def furnished() -> bool:
        await client.get(SERVICEACCOUNTS, "default", namespace)
        published = await client.get(CONFIGMAPS, "kube-root-ca.crt", namespace)
        return "BEGIN CERTIFICATE" in published["data"]["ca.crt"]

    await eventually(furnished)
    await client.create(DEPLOYMENTS, deployment(replicas=2), namespace)
    await eventually(lambda: settled(client, namespace, "web", 2))
    await client.delete(NAMESPACES, namespace)

    async def gone() -> bool:
        try:
            await client.get(NAMESPACES, namespace)
        except NotFound:
            return True
        return False

    await eventually(gone)
    assert await items(client, PODS, namespace) == []


def config(name: str, *owners: Object) -> Object:
    references = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": item["metadata"]["name"], "uid": item["metadata"]["uid"],
         "blockOwnerDeletion": True}
        for item in owners
    ]  # fmt: skip
    meta = {"name": name, "ownerReferences": references}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


async def exists(client: Client, name: str, namespace: str) -> bool:
    try:
        await client.get(CONFIGMAPS, name, namespace)
    except NotFound:
        return False
    return True


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
async def test_dependents_go_with_their_last_owner(
    client: Client, namespace: str, eventually: Eventually, policy: str
) -> None:
    first = await client.create(CONFIGMAPS, config("first"), namespace)
    second = await client.create(CONFIGMAPS, config("second"), namespace)
    await client.create(CONFIGMAPS, config("child", first, second), namespace)

    async def gone(name: str) -> bool:
        return not await exists(client, name, namespace)

    await client.delete(CONFIGMAPS, "first", namespace, propagation=policy)
    await eventually(lambda: gone("first"))
    assert await exists(client, "child", namespace)
    await client.delete(CONFIGMAPS, "second", namespace, propagation=policy)
    await eventually(lambda: gone("child"))
    await eventually(lambda: gone("second"))


async def test_orphans_stay_and_lose_their_reference(client: Client, namespace: str, eventually: Eventually) -> None:
    owner = await client.create(CONFIGMAPS, config("owner"), namespace)
    await client.create(CONFIGMAPS, config("child", owner), namespace)
    await client.delete(CONFIGMAPS, "owner", namespace, propagation="Orphan")

    async def free() -> bool:
        child = await client.get(CONFIGMAPS, "child", namespace)
        return not child["metadata"].get("ownerReferences") and not await exists(client, "owner", namespace)

    await eventually(free)


async def test_a_silent_node_is_tainted_its_pods_unready_and_all_heals_when_it_speaks_again(
    client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    staying = deployment(replicas=2)
    staying["spec"]["template"]["spec"]["tolerations"] = [{"operator": "Exists", "effect": "NoExecute"}]
    await eventually(lambda: schedulable(client, "a", "b"))
    await client.create(DEPLOYMENTS, staying, namespace)
    await eventually(lambda: settled(client, namespace, "web", 2))
    nodes.names.discard("b")

    async def unreachable() -> bool:
        node = await client.get(NODES, "b")
        found = {(taint["key"], taint["effect"]) for taint in node["spec"].get("taints", ())}
        key = "node.kubernetes.io/unreachable"
        pods = [pod for pod in await items(client, PODS, namespace) if pod["spec"].get("nodeName") == "b"]
        assert len(pods) == 1
        return {(key, "NoSchedule"), (key, "NoExecute")} <= found and not any(map(is_ready, pods))

    await eventually(unreachable, 15)
    await nodes.revive("b")
    await eventually(lambda: schedulable(client, "b"))


async def test_impatient_pods_of_a_silent_node_are_replaced_elsewhere(
    client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    leaving = deployment(replicas=2)
    leaving["spec"]["template"]["spec"]["tolerations"] = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
        for key in ("unreachable", "not-ready")
    ]
    await eventually(lambda: schedulable(client, "a", "b"))
    await client.create(DEPLOYMENTS, leaving, namespace)
    await eventually(lambda: settled(client, namespace, "web", 2))
    nodes.names.discard("b")

    async def moved() -> bool:
        pods = await items(client, PODS, namespace)
        here = [pod for pod in pods if pod["spec"].get("nodeName") == "a" and is_ready(pod)]
        left = [pod for pod in pods if pod["spec"].get("nodeName") == "b"]
        return len(here) == 2 and all(pod["metadata"].get("deletionTimestamp") for pod in left)

    await eventually(moved, 15)


async def test_what_does_not_fit_says_why_and_goes_as_soon_as_it_fits(
    client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    big = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "big"},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "6"}}}]},
    }
    await eventually(lambda: schedulable(client, "a", "b"))
    await client.create(PODS, big, namespace)

    async def refused() -> bool:
        pod = await client.get(PODS, "big", namespace)
        found = [c for c in pod["status"].get("conditions", ()) if c["type"] == "PodScheduled"]
        assert found
        assert found[0]["reason"] == "Unschedulable"
        return str(found[0]["message"]) == (
            "0/2 nodes are available: 2 Insufficient cpu. "
            "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        )

    await eventually(refused)
    await nodes.add("c", cpu="8")

    async def bound() -> bool:
        return bool((await client.get(PODS, "big", namespace))["spec"].get("nodeName") == "c")

    await eventually(bound)


async def test_an_urgent_pod_gets_the_place_of_a_lesser_one(
    client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    def pod(name: str, **spec: Any) -> Object:
        container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": "3"}}}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"containers": [container], **spec},
        }

    urgent = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "urgent"}, "value": 9}
    await client.create(PRIORITYCLASSES, urgent)
    await eventually(lambda: schedulable(client, "a", "b"))
    for name in ("one", "two"):
        await client.create(PODS, pod(name), namespace)

    async def running(*names: str) -> bool:
        return {item["metadata"]["name"] for item in await items(client, PODS, namespace) if is_ready(item)} == {*names}

    await eventually(lambda: running("one", "two"))
    await client.create(PODS, pod("urgent", priorityClassName="urgent"), namespace)

    async def moved() -> bool:
        return await running("urgent", "one") or await running("urgent", "two")

    await eventually(moved)


async def test_a_statefulset_starts_in_order_and_a_job_completes(
    client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    database = deployment("db", replicas=2)
    database["kind"] = "StatefulSet"
    database["spec"]["serviceName"] = "db"
    await client.create(STATEFULSETS, database, namespace)

    async def started() -> bool:
        found = await client.get(STATEFULSETS, "db", namespace)
        return bool(found.get("status", {}).get("availableReplicas") == 2)

    await eventually(started)
    pods = [await client.get(PODS, name, namespace) for name in ("db-0", "db-1")]
    assert pods[0]["metadata"]["creationTimestamp"] <= pods[1]["metadata"]["creationTimestamp"]
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "sum"},
        "spec": {
            "completions": 2,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}},
        },
    }
    await client.create(JOBS, job, namespace)

    async def completed() -> bool:
        for pod in await items(client, PODS, namespace):
            if pod["metadata"].get("generateName") == "sum-" and pod["status"].get("phase") == "Running":
                meta = pod["metadata"]
                patch = {"status": {"phase": "Succeeded"}}
                await client.patch(PODS, meta["name"], patch, namespace, subresource="status")
        found = (await client.get(JOBS, "sum", namespace)).get("status", {})
        return found.get("succeeded") == 2 and found["conditions"][-1]["type"] == "Complete"

    await eventually(completed)


async def test_a_killed_manager_takes_up_where_it_was(
    plane: Any, client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    await client.create(DEPLOYMENTS, deployment(replicas=2), namespace)
    await eventually(lambda: settled(client, namespace, "web", 2))
    plane.kill("kube-controller-manager")
    patch = {"spec": {"replicas": 4}}
    await client.patch(DEPLOYMENTS, "web", patch, namespace)
    plane.start("kube-controller-manager", "panal.controlplane.controllers", "--node-monitor-grace-period=4s")
    await eventually(lambda: settled(client, namespace, "web", 4))
    assert len(await items(client, PODS, namespace)) == 4


async def test_all_goes_on_after_the_api_server_and_the_scheduler_were_killed(
    plane: Any, client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    await client.create(DEPLOYMENTS, deployment(replicas=1), namespace)
    await eventually(lambda: settled(client, namespace, "web", 1))
    await asyncio.to_thread(plane.server.stop, signal.SIGKILL)
    plane.kill("kube-scheduler")
    await asyncio.sleep(0.3)
    await asyncio.to_thread(plane.server.start)
    plane.start("kube-scheduler", "panal.controlplane.scheduler")
    await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 3}}, namespace)
    await eventually(lambda: settled(client, namespace, "web", 3))
