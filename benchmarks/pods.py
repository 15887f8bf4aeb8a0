"""`make bench-pods`: from create to Scheduled, started and Ready, at a rate and all at once, as a client sees it.

A four-node cluster of its own is started; pods sleep. Times are those at which a watch tells, in milliseconds from just
before the create. CPU is what each component used, in milliseconds a pod: it changes little when others load the
machine. Then 500 pods run at once, and what the cluster keeps in memory beyond their own programs is told (PSS); and a
container is killed, to see how soon another runs in its place.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from panal.agents.runtime import processes
from panal.client import Client
from panal.paths import ClusterPaths
from panal.resources import PODS

COMPONENTS = (
    "kube-apiserver", "kube-scheduler", "kube-controller", "kubelet", "panal-runtime", "panal-spawner", "kube-proxy",
)  # fmt: skip
"""Names of processes whose CPU is told, all nodes together; the rest is `others`."""
CLUSTER = "apiVersion: panal.dev/v1\nkind: Cluster\nspec:\n  nodes:\n" + "".join(
    f"  - {{name: {name}, address: 192.168.0.{100 + number}, pods: 250}}\n"
    for number, name in enumerate(("nodo1", "nodoa", "nodob", "nodoc"))
)
"""The usual four nodes, with room for the crowd."""
NAP = "100000"
STAGES = ("Scheduled", "started", "Ready")
PATIENCE = 120.0
AT_ONCE = 16
"""Creates under way; more would measure how the API server makes clients wait."""


def pod(name: str, *command: str) -> dict[str, Any]:
    container = {"name": "main", "image": "busybox", "command": command or ("sleep", NAP)}
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


def members(home: Path) -> list[processes.Process]:
    """The cluster's processes, pods' too: the keeper and what descends from it."""
    everyone = list(processes.everyone())
    keepers = [item for item in everyone if name(item.pid) == "panal-keeper" and str(home) in cmdline(item.pid)]
    return [found for keeper in keepers for found in processes.family(everyone, keeper.pid, keeper.start)]


def name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def cmdline(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def spent(home: Path) -> Counter[str]:
    """CPU seconds by component."""
    found: Counter[str] = Counter()
    for process in members(home):
        component = name(process.pid)
        found[component if component in COMPONENTS else "others"] += process.cpu_seconds + process.waited_seconds
    return found


def own_memory(home: Path) -> tuple[int, int]:
    """Bytes (PSS) of the cluster without the pods' own programs, and of these."""
    own = programs = 0
    for process in members(home):
        if name(process.pid) == "sleep":
            programs += processes.proportional_bytes(process)
        else:
            own += processes.proportional_bytes(process)
    return own, programs


async def create(client: Client, home: Path, title: str, count: int, rate: float) -> None:
    times = Times()
    before = spent(home)
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
            async with places:
                await client.create(PODS, pod(name), "default")

        places = asyncio.Semaphore(AT_ONCE)
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
    used = spent(home)
    shown = {part: (used[part] - before[part]) / count * 1000 for part in (*COMPONENTS, "others")}
    print(f"{title:24} CPU ms/pod {sum(shown.values()):.1f}: " + ", ".join(f"{p} {v:.1f}" for p, v in shown.items()))


async def crashes(client: Client, home: Path, count: int) -> None:
    """From the kill of a container's process to the first line of the one that takes its place: no back-off yet."""
    took = []
    for number in range(count):
        title, program = f"crash-{number}", f"{NAP}.{number}"
        await client.create(PODS, pod(title, "sh", "-c", f"echo up; exec sleep {program}"), "default")
        pid = await until(lambda program=program: pid_of(program))
        began = time.time()
        os.kill(pid, signal.SIGKILL)
        await until(lambda program=program, pid=pid: pid_of(program, but=pid))
        [log] = home.glob(f"**/default_{title}_*/main/1.log")
        stamp = log.read_text().split(" ", 1)[0]
        at = datetime.fromisoformat(f"{stamp[:26]}+00:00").timestamp()
        took.append((at - began) * 1000)
    print(f"{'crash':24} again      n={count:4} p50 {statistics.median(took):7.1f} ms  most {max(took):7.1f} ms")


async def until(found: Callable[[], int | None]) -> int:
    async with asyncio.timeout(PATIENCE):
        while (pid := found()) is None:
            await asyncio.sleep(0.005)
    return pid


def pid_of(program: str, but: int | None = None) -> int | None:
    wanted = f"sleep\0{program}\0"
    pids = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return next((pid for pid in pids if pid != but and cmdline(pid) == wanted), None)


async def crowd(client: Client, home: Path, count: int) -> None:
    """Many pods at once: what they cost beyond their own programs."""
    before, _ = own_memory(home)
    await create(client, home, "crowd", count, 1e6)
    own, programs = own_memory(home)
    beyond = (own - before) / 2**20
    print(f"{'crowd':24} {count} pods: {beyond:.0f} MiB more (PSS) beyond their programs ({programs >> 20} MiB)")


async def run(paths: ClusterPaths, options: argparse.Namespace) -> None:
    async with Client.from_kubeconfig(paths.kubeconfig) as client:
        home = paths.root
        await create(client, home, "warm-up", 8, 10)
        await create(client, home, "steady", options.count, options.rate)
        await create(client, home, "burst", options.burst, 1e6)
        await crashes(client, home, options.crashes)
        if options.crowd:
            await crowd(client, home, options.crowd)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--burst", type=int, default=100)
    parser.add_argument("--crashes", type=int, default=10)
    parser.add_argument("--crowd", type=int, default=500, help="pods at once, for their memory; 0 leaves it out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="panal-bench-") as home:
        environ = {**os.environ, "PANAL_HOME": f"{home}/panal", "KUBECONFIG": f"{home}/kubeconfig"}
        command = [sys.executable, "-m", "panal.command"]
        (config := Path(home) / "cluster.yaml").write_text(CLUSTER)
        up = [*command, "up", "--name", "bench", "--config", str(config)]
        subprocess.run(up, env=environ, check=True, stdout=subprocess.DEVNULL)
        try:
            print(f"load average {os.getloadavg()[0]:.1f} at the start")
            asyncio.run(run(ClusterPaths.of(Path(home) / "panal", "bench"), options))
        finally:
            subprocess.run([*command, "down", "--name", "bench"], env=environ, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
