"""Hooks of containers with real programs: after the start, before the end, failing, and longer than there is time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from panal.resources import PODS

from .test_live import LiveNode, living, only, pod, ready

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveNode]:
    (root := tmp_path_factory.mktemp("hooks") / "c").mkdir(mode=0o700)
    async with living(root) as found:
        yield found


def shell(script: str) -> dict[str, Any]:
    return {"exec": {"command": ["sh", "-c", script]}}


async def test_one_hook_holds_back_readiness_and_the_other_the_signal(node: LiveNode, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    main = f"echo main >> {notes}; trap 'echo term >> {notes}; exit 0' TERM; while :; do sleep 0.05; done"
    begun = f"while [ ! -s {notes} ] || [ ! -e {notes}.go ]; do sleep 0.02; done; echo begun >> {notes}"
    hooks = {"postStart": shell(begun), "preStop": shell(f"echo ending >> {notes}; sleep 0.3; echo ended >> {notes}")}
    made = pod("hooked", main, lifecycle=hooks)
    made["spec"]["terminationGracePeriodSeconds"] = 20
    await node.create(made)
    async with asyncio.timeout(20):
        while not notes.exists():
            await asyncio.sleep(0.02)
    assert not ready(await node.client.get(PODS, "hooked", "default"))
    (tmp_path / "notes.go").touch()
    await node.until("hooked", ready)
    await node.client.delete(PODS, "hooked", "default")
    await node.until_gone("hooked")
    assert notes.read_text().split() == ["main", "begun", "ending", "ended", "term"]


async def test_a_container_whose_first_hook_fails_is_ended_and_started_again(node: LiveNode) -> None:
    await node.create(pod("unlucky", "sleep 1000", lifecycle={"postStart": shell("exit 3")}))
    found = await node.until("unlucky", lambda pod: only(pod)["state"].get("waiting", {}).get("reason") not in
                             (None, "ContainerCreating"))  # fmt: skip
    assert only(found)["state"]["waiting"]["reason"] == "PostStartHookError"
    await node.until("unlucky", lambda pod: only(pod)["restartCount"] >= 1)
    assert {"FailedPostStartHook", "Killing"} <= {reason for reason, _ in await node.events("unlucky")}


async def test_a_hook_that_takes_longer_than_the_grace_is_not_waited_for(node: LiveNode) -> None:
    made = pod("slow", "sleep 1000", lifecycle={"preStop": {"sleep": {"seconds": 600}}})
    made["spec"]["terminationGracePeriodSeconds"] = 700
    await node.create(made)
    await node.until("slow", ready)
    began = time.monotonic()
    await node.client.delete(PODS, "slow", "default", grace_seconds=1)
    await node.until_gone("slow")
    assert time.monotonic() - began >= 1
