"""A node whose memory runs out, with real programs: who goes, in which order, and who stays."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

from panal.resources import PODS, PRIORITYCLASSES

from .test_live import LiveNode, living, only, pod, ready

MEMORY = "470Mi"
"""The API server, the kubelet and the runtime keep some 90 MiB of it; pods are evicted when 100 MiB are left."""

GROWS = """
import pathlib, time
while not pathlib.Path({gate!r}).exists():
    time.sleep(0.02)
kept = bytearray(b"x") * ({mebibytes} << 20)
pathlib.Path({gate!r} + ".{name}").touch()
time.sleep(1000)
"""


def hog(name: str, mebibytes: int, request: str, gate: Path, priority_class: str = "") -> dict[str, Any]:
    """A pod that takes its memory once the gate is open."""
    program = GROWS.format(gate=str(gate), mebibytes=mebibytes, name=name)
    made = pod(name, "", image="python", resources={"requests": {"memory": request}})
    made["spec"]["containers"][0]["command"] = ["python3", "-c", program]
    if priority_class:
        made["spec"]["priorityClassName"] = priority_class
    return made


async def test_what_exceeds_its_requests_most_goes_first_and_what_keeps_to_them_stays(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    (root := tmp_path / "c").mkdir(mode=0o700)
    async with living(root, MEMORY) as node:
        high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000}
        await node.client.create(PRIORITYCLASSES, {**high, "metadata": {"name": "high"}})
        for made in (
            hog("modest", 60, "100Mi", gate),
            hog("precious", 120, "10Mi", gate, "high"),
            hog("greedy", 160, "10Mi", gate),
            hog("greediest", 200, "10Mi", gate),
        ):
            await node.create(made)
        for name in ("modest", "precious", "greedy", "greediest"):
            await node.until(name, ready)
        kubelet = node.processes["kubelet"]
        kubelet.send_signal(signal.SIGSTOP)  # it shall not look before all have taken theirs
        try:
            gate.touch()
            async with asyncio.timeout(20):
                while len(list(tmp_path.glob("gate.*"))) < 4:
                    await asyncio.sleep(0.02)
        finally:
            kubelet.send_signal(signal.SIGCONT)
        await node.create(pod("newcomer", "sleep 1000"))  # a start makes the kubelet look
        assert [name for name, _ in await _evicted(node, 2)] == ["greediest", "greedy"]
        for name in ("modest", "precious"):
            assert ready(await node.client.get(PODS, name, "default"))


async def _evicted(node: LiveNode, count: int) -> list[tuple[str, dict[str, Any]]]:
    """The first pods to be evicted, in their order; each says so in its status."""
    found: dict[str, dict[str, Any]] = {}
    async with asyncio.timeout(20):
        while len(found) < count:
            for each in (await node.client.list(PODS, "default"))["items"]:
                if each["status"].get("reason") == "Evicted":
                    found.setdefault(each["metadata"]["name"], each)
            await asyncio.sleep(0.02)
    for each in found.values():
        status = each["status"]
        assert status["phase"] == "Failed"
        assert status["message"].startswith("The node was low on resource: memory. Threshold quantity: 100Mi, ")
        assert "request is 10240Ki, has larger consumption of memory." in status["message"]
        reasons = [item["reason"] for item in status["conditions"] if item["type"] == "DisruptionTarget"]
        assert reasons == ["TerminationByKubelet"]
        assert "terminated" in only(each)["state"]
    return list(found.items())
