"""`make bench-pods`: from create to Scheduled, started and Ready, at a rate and all at once, as a client sees it.

A four-node cluster of its own is started; pods sleep. Times are those at which a watch tells, in milliseconds from just
before the create.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from panal.client import Client
from panal.paths import ClusterPaths
from panal.resources import PODS

STAGES = ("Scheduled", "started", "Ready")
PATIENCE = 60.0


def pod(name: str) -> dict[str, Any]:
    container = {"name": "main", "image": "busybox", "command": ["sleep", "100000"]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


class Times:
    """When each pod was created and reached each stage."""

    def __init__(self) -> None:
        self.created: dict[str, float] = {}
        self.reached: dict[str, dict[str, float]] = {stage: {} for stage in STAGES}
        self.changed = asyncio.Event()

    def see(self, found: dict[str, Any]) -> None:
        name, now = found["metadata"]["name"], time.perf_counter()
        status = found.get("status") or {}
        running = any("running" in (item.get("state") or {}) for item in status.get("containerStatuses") or ())
        ready = any(i["type"] == "Ready" and i["status"] == "True" for i in status.get("conditions") or ())
        facts = {"Scheduled": bool(found["spec"].get("nodeName")), "started": running, "Ready": ready}
        for stage, true in facts.items():
            if true and name in self.created:
                self.reached[stage].setdefault(name, now)
        self.changed.set()

    def table(self, title: str) -> None:
        for stage in STAGES:
            took = sorted((at - self.created[name]) * 1000 for name, at in self.reached[stage].items())
            p99 = took[min(len(took) - 1, int(len(took) * 0.99))]
            print(f"{title:24} {stage:10} n={len(took):4} p50 {statistics.median(took):7.1f} ms  p99 {p99:7.1f} ms")


async def create(client: Client, title: str, count: int, rate: float) -> None:
    times = Times()
    listed = await client.list(PODS, "default")
    async with client.watch(PODS, "default", resource_version=listed["metadata"]["resourceVersion"]) as events:

        async def follow() -> None:
            async for kind, found in events:
                if kind in ("ADDED", "MODIFIED"):
                    times.see(found)

        async def one(number: int) -> None:
            await asyncio.sleep(number / rate)
            name = f"{title}-{number}"
            times.created[name] = time.perf_counter()
            await client.create(PODS, pod(name), "default")

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            following = group.create_task(follow(), name="watch")
            began = time.perf_counter()
            for number in range(count):
                group.create_task(one(number), name=f"create {number}")
            while len(times.reached["Ready"]) < count:
                times.changed.clear()
                await times.changed.wait()
            took = time.perf_counter() - began
            following.cancel()
    times.table(title)
    print(f"{title:24} all Ready after {took:.2f} s, {count / took:.0f} pods/s")


async def run(paths: ClusterPaths, options: argparse.Namespace) -> None:
    async with Client.from_kubeconfig(paths.kubeconfig) as client:
        await create(client, "warm-up", 5, 10)
        await create(client, "steady", options.count, options.rate)
        await create(client, "burst", options.burst, 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--burst", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="panal-bench-") as home:
        environ = {**os.environ, "PANAL_HOME": f"{home}/panal", "KUBECONFIG": f"{home}/kubeconfig"}
        command = [sys.executable, "-m", "panal.command"]
        subprocess.run([*command, "up", "--name", "bench"], env=environ, check=True, stdout=subprocess.DEVNULL)
        try:
            print(f"load average {os.getloadavg()[0]:.1f} at the start")
            asyncio.run(run(ClusterPaths.of(Path(home) / "panal", "bench"), options))
        finally:
            subprocess.run([*command, "down", "--name", "bench"], env=environ, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
