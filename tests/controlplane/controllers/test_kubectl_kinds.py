"""kubectl's scale, rollout, autoscale, wait, cordon, drain and delete --cascade, on every kind they work on."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

pytestmark = pytest.mark.kubectl

Kubectl = Callable[..., Awaitable[str]]
TEMPLATE = '{metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: "nginx:1"}]}}'
KINDS = {
    "deployment": "apps/v1",
    "replicaset": "apps/v1",
    "statefulset": "apps/v1",
    "daemonset": "apps/v1",
    "replicationcontroller": "v1",
    "job": "batch/v1",
}
PROPER = {"replicaset": "ReplicaSet", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}


def some(*kinds: str) -> tuple[str, ...]:
    """All of them with PANAL_TEST_ALL; the first, which differs most from what others try, every time."""
    return kinds if os.environ.get("PANAL_TEST_ALL") else kinds[:1]


def manifest(kind: str, replicas: int = 2) -> str:
    proper = {**PROPER, "replicationcontroller": "ReplicationController"}.get(kind, kind.capitalize())
    head = f"apiVersion: {KINDS[kind]}\nkind: {proper}\nmetadata: {{name: web}}\n"
    if kind == "job":
        template = TEMPLATE.replace("spec: {", "spec: {restartPolicy: Never, ")
        return f"{head}spec: {{parallelism: {replicas}, completions: 9, template: {template}}}\n"
    selector = "{app: web}" if kind == "replicationcontroller" else "{matchLabels: {app: web}}"
    size = "" if kind == "daemonset" else f"replicas: {replicas}, "
    return f"{head}spec: {{{size}selector: {selector}, template: {TEMPLATE}}}\n"


@pytest.fixture
def kubectl(plane: Any, namespace: str) -> Kubectl:
    async def run(*arguments: str, stdin: str | None = None) -> str:
        return await asyncio.to_thread(partial(plane.kubectl, "-n", namespace, *arguments, stdin=stdin))

    return run


async def count(kubectl: Kubectl) -> int:
    return len((await kubectl("get", "pods", "-o", "name")).split())


@pytest.mark.parametrize("kind", some("statefulset", "replicaset", "replicationcontroller"))
async def test_scale_and_wait(
    kind: str, nodes: Any, kubectl: Kubectl, eventually: Callable[..., Awaitable[Any]]
) -> None:
    await kubectl("apply", "-f", "-", stdin=manifest(kind))
    await kubectl("wait", f"{kind}/web", "--for=jsonpath={.status.readyReplicas}=2", "--timeout=20s")
    await kubectl("scale", f"{kind}/web", "--replicas=3", "--current-replicas=2")
    await kubectl("wait", f"{kind}/web", "--for=jsonpath={.status.readyReplicas}=3", "--timeout=20s")
    await kubectl("wait", "pods", "-l", "app=web", "--for=condition=Ready", "--timeout=20s")
    await kubectl("scale", f"{kind}/web", "--replicas=0")
    await kubectl("wait", "pods", "-l", "app=web", "--for=delete", "--timeout=20s")

    async def empty() -> bool:
        return not await count(kubectl)

    await eventually(empty)


@pytest.mark.parametrize(
    "kind", some("job", "replicationcontroller", "daemonset", "deployment", "replicaset", "statefulset")
)
async def test_delete_cascades_as_told(
    kind: str, nodes: Any, kubectl: Kubectl, eventually: Callable[..., Awaitable[Any]]
) -> None:
    async def two() -> bool:
        return await count(kubectl) == 2

    async def none() -> bool:
        return await count(kubectl) == 0

    await kubectl("apply", "-f", "-", stdin=manifest(kind))
    await eventually(two)
    before = await kubectl("get", "pods", "-o", "name")
    await kubectl("delete", kind, "web", "--cascade=orphan", "--timeout=20s")
    await asyncio.sleep(0.2)
    assert await kubectl("get", "pods", "-o", "name") == before
    if kind != "job":  # a new Job has another selector
        await kubectl("apply", "-f", "-", stdin=manifest(kind))
        await asyncio.sleep(0.2)
        assert await kubectl("get", "pods", "-o", "name") == before, "adopted"
    else:
        await kubectl("delete", "pods", "--all", "--timeout=20s")
        await kubectl("apply", "-f", "-", stdin=manifest(kind))
        await eventually(two)
    how = "foreground" if kind in ("replicaset", "statefulset", "job") else "background"
    await kubectl("delete", kind, "web", f"--cascade={how}", "--timeout=20s")
    if how == "foreground":
        assert await count(kubectl) == 0
    await eventually(none)


async def test_a_statefulset_rolls_out_undoes_and_restarts(nodes: Any, kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=manifest("statefulset"))
    assert "complete" in await kubectl("rollout", "status", "statefulset/web", "--timeout=20s")
    await kubectl("set", "image", "statefulset/web", "web=nginx:2")
    assert "complete" in await kubectl("rollout", "status", "statefulset/web", "--timeout=20s")
    history = await kubectl("rollout", "history", "statefulset/web")
    assert [line.split()[0] for line in history.strip().splitlines()[2:]] == ["1", "2"]
    await kubectl("rollout", "undo", "statefulset/web")
    await kubectl("rollout", "status", "statefulset/web", "--timeout=20s")
    images = await kubectl("get", "pods", "-o", "jsonpath={.items[*].spec.containers[0].image}")
    assert set(images.split()) == {"nginx:1"}
    before = await kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}")
    await kubectl("rollout", "restart", "statefulset/web")
    await kubectl("rollout", "status", "statefulset/web", "--timeout=20s")
    after = await kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}")
    assert not set(before.split()) & set(after.split())


@pytest.mark.parametrize("kind", some("statefulset", "deployment", "replicaset", "replicationcontroller"))
async def test_autoscale_keeps_the_minimum(
    kind: str, nodes: Any, kubectl: Kubectl, eventually: Callable[..., Awaitable[Any]]
) -> None:
    await kubectl("apply", "-f", "-", stdin=manifest(kind, 1))
    await kubectl("autoscale", f"{kind}/web", "--min=2", "--max=4", "--cpu-percent=50")
    await kubectl("wait", f"{kind}/web", "--for=jsonpath={.status.replicas}=2", "--timeout=25s")
    found = json.loads(await kubectl("get", "hpa", "web", "-o", "json"))
    assert (found["spec"]["minReplicas"], found["spec"]["maxReplicas"]) == (2, 4)


async def test_a_cordoned_node_gets_nothing_and_a_drained_one_loses_all_but_its_daemons(
    nodes: Any, kubectl: Kubectl, eventually: Callable[..., Awaitable[Any]]
) -> None:
    where = "jsonpath={.items[*].spec.nodeName}"
    await kubectl("cordon", "a")
    assert "SchedulingDisabled" in await kubectl("get", "node", "a", "--no-headers")
    await kubectl("apply", "-f", "-", stdin=manifest("deployment", 4))
    await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert set((await kubectl("get", "pods", "-o", where)).split()) == {"b"}
    await kubectl("uncordon", "a")
    daemon = manifest("daemonset").replace("name: web}\n", "name: agent}\n", 1).replace("app: web", "app: agent")
    await kubectl("apply", "-f", "-", stdin=daemon)
    await kubectl("rollout", "status", "daemonset/agent", "--timeout=20s")
    said = await kubectl("drain", "b", "--ignore-daemonsets", "--timeout=20s")
    assert "drained" in said
    await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert set((await kubectl("get", "pods", "-l", "app=web", "-o", where)).split()) == {"a"}
    assert sorted((await kubectl("get", "pods", "-l", "app=agent", "-o", where)).split()) == ["a", "b"]
    await kubectl("uncordon", "b")
