"""Pods come and go by the hundred, and nothing of them is left: no process, mount, namespace, cgroup or file."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest

from panal import cgroups
from panal.agents.runtime import processes
from panal.agents.runtime.contract import ContainerConfig, SandboxConfig

from .conftest import Node

PODS = {"root": 200, "user": 100, "plain": 20}
"""By runtime; 2,000 in each with PANAL_TEST_ALL. The plain one finds what a container left by reading environments."""
AT_ONCE = 16


@pytest.mark.timeout(600)
async def test_nothing_outlives_its_pod(node: Node) -> None:
    await one(node, -1)
    before = left(node)
    pods = 2000 if os.environ.get("PANAL_TEST_ALL") else PODS[node.kind]
    places = asyncio.Semaphore(AT_ONCE)

    async def turn(number: int) -> None:
        async with places:
            await one(node, number)

    async with asyncio.TaskGroup() as group:
        for number in range(pods):
            group.create_task(turn(number))
    for _ in range(200):
        if (after := left(node)) == before:
            return
        await asyncio.sleep(0.05)
    assert after == before


async def one(node: Node, number: int) -> None:
    """Some end by themselves, some are stopped, some leave children behind, some have limits."""
    sandbox = await node.runtime.run_sandbox(SandboxConfig(f"p{number}", "default", f"uid-{number}"))
    limits = {"memory_limit": 64 << 20} if number % 4 == 0 else {}
    script = ("exit 3", "sleep 1000", "sleep 1000 & sleep 2000 & exit 0", "trap '' TERM; sleep 1000")[number % 4]
    config = ContainerConfig("main", "debian", command=("sh", "-c", script), **limits)  # type: ignore[arg-type]
    container = await node.runtime.create(sandbox.id, config)
    await node.runtime.start(container)
    if number % 4 == 0:
        await node.ended(container)
    await node.runtime.remove_sandbox(sandbox.id)


def left(node: Node) -> Counter[str]:
    """What there is of the node: processes (zombies too), descriptors of its daemon, mounts, files, cgroups."""
    daemon = node.daemon()
    family = processes.family(processes.everyone(), node.holder.pid, processes.start_time(node.holder.pid))
    mounts = Path(f"/proc/{daemon.pid}/mountinfo").read_text().splitlines()
    descriptors = os.listdir(f"/proc/{daemon.pid}/fd")
    runtime = node.paths.root
    found = Counter({"processes": len(family), "mounts": len(mounts), "descriptors": len(descriptors)})
    for folder in ("sandboxes", "containers"):
        found[folder] = len(list(runtime.glob(f"nodes/*/runtime/{folder}/*")))
    found["cgroups"] = sum(1 for _ in Path("/sys/fs/cgroup").glob(f"*/panal/{cgroups.name(runtime)}/*/cgroup.procs"))
    found["zombies"] = sum(process.state == "Z" for process in family)
    return found
