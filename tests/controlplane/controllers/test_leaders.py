"""Two controller managers and two schedulers: the leader is killed again and again, and all is done once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from panal.client import Client
from panal.errors import NotFound
from panal.informer import Applied, Delta, Informer
from panal.leaderelection import identity
from panal.resources import DEPLOYMENTS, EVENTS, JOBS, LEASES, PODS

MANAGER, SCHEDULER = "kube-controller-manager", "kube-scheduler"
MODULES = {MANAGER: "panal.controlplane.controllers", SCHEDULER: "panal.controlplane.scheduler"}
QUICK = (
    "--leader-elect-lease-duration=2s",
    "--leader-elect-renew-deadline=1500ms",
    "--leader-elect-retry-period=500ms",
)


def launch(plane: Any, name: str, number: int) -> None:
    plane.start(name, MODULES[name], *QUICK, pod=f"{name}-{number}")


@pytest.fixture(scope="module")
def plane(bare_plane: Any) -> Any:
    for name in MODULES:
        for number in (1, 2):
            launch(bare_plane, name, number)
    return bare_plane


async def leader(client: Client, name: str) -> int:
    """Which of the two holds the Lease; 0 for none."""
    try:
        lease = await client.get(LEASES, name, "kube-system")
    except NotFound:
        return 0
    host = socket.gethostname()
    ours = {identity(host, {"POD_NAME": f"{name}-{n}"}): n for n in (1, 2)}
    return ours.get(lease["spec"]["holderIdentity"], 0)


async def test_the_leaders_are_killed_and_everything_is_done_once(
    plane: Any, client: Client, namespace: str, nodes: Any, eventually: Callable[..., Awaitable[Any]]
) -> None:
    made: dict[str, set[str]] = {}
    bound: dict[str, set[str]] = {}

    def note(delta: Delta) -> None:
        if isinstance(delta, Applied) and delta.new["metadata"]["namespace"] == namespace:
            uid = delta.new["metadata"]["uid"]
            made.setdefault(delta.new["metadata"]["ownerReferences"][0]["kind"], set()).add(uid)
            if node := delta.new["spec"].get("nodeName"):
                bound.setdefault(uid, set()).add(node)

    pods = Informer(client, PODS)
    pods.subscribe(note)
    watching = asyncio.get_running_loop().create_task(pods.run())
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    work = {"parallelism": 3, "completions": 3, "template": {"spec": {**template["spec"], "restartPolicy": "Never"}}}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    await client.create(DEPLOYMENTS, body, namespace)
    for round_, replicas in enumerate((10, 25, 40)):
        for name in MODULES:
            number = await eventually(lambda name=name: leader(client, name), seconds=20)
            job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"{name}-{round_}"}, "spec": work}
            await client.create(JOBS, job, namespace)
            await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": replicas}}, namespace)
            plane.kill(f"{name}-{number}")
            if round_ != 1:
                launch(plane, name, number)

        async def complete(wanted: int = replicas) -> bool:
            status = (await client.get(DEPLOYMENTS, "web", namespace)).get("status", {})
            return status.get("availableReplicas", 0) == wanted == status.get("replicas")

        await eventually(complete, seconds=30)
        for name in MODULES:
            for number in (1, 2):
                if f"{name}-{number}" not in plane.processes:
                    launch(plane, name, number)
    expected = {"ReplicaSet": 40, "Job": 3 * 2 * 3}

    async def all_bound() -> bool:
        return len(bound) == sum(expected.values())

    await eventually(all_bound)
    assert {kind: len(uids) for kind, uids in made.items()} == expected, "none was made twice, none was forgotten"
    assert all(len(places) == 1 for places in bound.values())
    watching.cancel()
    events = (await client.list(EVENTS, "kube-system"))["items"]
    said = [event for event in events if event["reason"] == "LeaderElection"]
    begun = {event["involvedObject"]["name"] for event in said if event["message"].endswith(" became leader")}
    assert begun == set(MODULES)
    ends = (" became leader", " stopped leading")  # the latter where the machine let one wait for longer than its Lease
    assert all(event["message"].endswith(ends) for event in said)


async def test_a_leader_that_ends_gives_its_lease_to_the_other(
    plane: Any, client: Client, eventually: Callable[..., Awaitable[Any]]
) -> None:
    number = await eventually(lambda: leader(client, MANAGER), seconds=20)
    pod = f"{MANAGER}-{number}"
    plane.processes[pod].terminate()
    assert plane.processes.pop(pod).wait(10) == 0

    async def other() -> bool:
        return await leader(client, MANAGER) == 3 - number

    await eventually(other, seconds=10)
