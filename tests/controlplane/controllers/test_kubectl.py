"""What users do with kubectl around rollouts: status, history, undo, restart, scale, delete --cascade."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

pytestmark = pytest.mark.kubectl

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1"}]}
"""


@pytest.fixture
def kubectl(plane: Any, namespace: str) -> Callable[..., Awaitable[str]]:
    async def run(*arguments: str, stdin: str | None = None) -> str:
        call = partial(plane.kubectl, "-n", namespace, *arguments, stdin=stdin)
        return await asyncio.to_thread(call)

    return run


async def test_rollout_status_history_undo_restart_and_scale(
    nodes: Any, kubectl: Callable[..., Awaitable[str]]
) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)
    assert "successfully rolled out" in await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    await kubectl("set", "image", "deployment/web", "web=nginx:2")
    await kubectl("annotate", "deployment/web", "kubernetes.io/change-cause=second")
    assert "successfully rolled out" in await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    history = await kubectl("rollout", "history", "deployment/web")
    assert [line.split() for line in history.strip().splitlines()[2:]] == [["1", "<none>"], ["2", "second"]]
    await kubectl("rollout", "undo", "deployment/web")
    await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert await kubectl("get", "deployment", "web", "-o", image) == "nginx:1"
    assert [line.split()[0] for line in (await kubectl("rollout", "history", "deployment/web")).splitlines()[2:4]] == [
        "2", "3",
    ]  # fmt: skip
    await kubectl("rollout", "restart", "deployment/web")
    assert "successfully rolled out" in await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    await kubectl("scale", "deployment/web", "--replicas=5")
    assert "successfully rolled out" in await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert await kubectl("get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}") == "5"


async def test_a_paused_rollout_waits(nodes: Any, kubectl: Callable[..., Awaitable[str]]) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)
    await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    await kubectl("rollout", "pause", "deployment/web")
    await kubectl("set", "image", "deployment/web", "web=nginx:2")
    await asyncio.sleep(0.5)
    assert len(json.loads(await kubectl("get", "rs", "-o", "json"))["items"]) == 1
    await kubectl("rollout", "resume", "deployment/web")
    await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert len(json.loads(await kubectl("get", "rs", "-o", "json"))["items"]) == 2


async def test_delete_cascades_as_told(
    nodes: Any, kubectl: Callable[..., Awaitable[str]], eventually: Callable[..., Awaitable[Any]]
) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)
    await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    before = await kubectl("get", "pods", "-o", "name")
    await kubectl("delete", "deployment", "web", "--cascade=orphan")
    assert await kubectl("get", "pods", "-o", "name") == before
    await kubectl("apply", "-f", "-", stdin=MANIFEST)
    await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert await kubectl("get", "pods", "-o", "name") == before
    await kubectl("delete", "deployment", "web", "--cascade=foreground", "--timeout=30s")
    assert await kubectl("get", "rs,pods", "-o", "name") == ""


async def test_a_daemonset_rolls_out_and_back(nodes: Any, kubectl: Callable[..., Awaitable[str]]) -> None:
    manifest = MANIFEST.replace("kind: Deployment", "kind: DaemonSet").replace("  replicas: 3\n", "")
    await kubectl("apply", "-f", "-", stdin=manifest)
    assert "successfully rolled out" in await kubectl("rollout", "status", "daemonset/web", "--timeout=20s")
    await kubectl("set", "image", "daemonset/web", "web=nginx:2")
    assert "successfully rolled out" in await kubectl("rollout", "status", "daemonset/web", "--timeout=20s")
    history = await kubectl("rollout", "history", "daemonset/web")
    assert [line.split()[0] for line in history.strip().splitlines()[2:]] == ["1", "2"]
    await kubectl("rollout", "undo", "daemonset/web")
    assert "successfully rolled out" in await kubectl("rollout", "status", "daemonset/web", "--timeout=20s")
    image = "jsonpath={.items[*].spec.containers[0].image}"
    assert set((await kubectl("get", "pods", "-o", image)).split()) == {"nginx:1"}
