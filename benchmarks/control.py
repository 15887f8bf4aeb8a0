"""How fast the scheduler and the controllers are, stage by stage: `make bench-control`, `--quick`, `--only STAGE`.

The algorithm alone runs in this process. All else is one real API server (TLS, durable writes), one real scheduler and
one real controller manager, each a process; node objects have no machines behind them. This process watches without
reading what it is sent, so that it costs the two cores little.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from benchmarks.api import MERGE, Bench, Connection, Watcher, request, running  # noqa: E402
from panal.controlplane.scheduler.alike import Tables  # noqa: E402
from panal.controlplane.scheduler.cache import Cache  # noqa: E402
from panal.controlplane.scheduler.decide import Placed, schedule  # noqa: E402
from panal.controlplane.scheduler.plugins import FILTERS, SCORES  # noqa: E402
from panal.controlplane.scheduler.snapshot import PodInfo, pod_info  # noqa: E402

Object = dict[str, Any]
Say = Callable[[str, str, str], None]
PODS, NODES = "/api/v1/namespaces/default/pods", "/api/v1/nodes"
STRATEGIC = "application/strategic-merge-patch+json"
SCHEDULER, MANAGER = "kube-scheduler", "kube-controller-manager"
PATIENT = "--node-monitor-grace-period=3600s"
"""Nodes that never give a sign of life stay healthy."""
MODULES = {SCHEDULER: "panal.controlplane.scheduler", MANAGER: "panal.controlplane.controllers"}


def node(number: int) -> Object:
    amounts = {"cpu": "32", "memory": "64Gi", "pods": "110"}
    meta = {"name": f"node-{number}", "labels": {"kubernetes.io/hostname": f"node-{number}"}}
    status = {"allocatable": amounts, "conditions": [{"type": "Ready", "status": "True"}]}
    return {"kind": "Node", "apiVersion": "v1", "metadata": meta, "spec": {}, "status": status}


def pod(name: str, **more: Any) -> Object:
    container = {"name": "app", "image": "nginx:1.27", "resources": {"requests": {"cpu": "100m", "memory": "100Mi"}}}
    meta = {"name": name, "labels": {"app": "bench"}, **more}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": {"containers": [container]}}


def owned(name: str) -> PodInfo:
    owner = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "web", "controller": True}]
    return pod_info(pod(name, namespace="default", uid=name, ownerReferences=owner))


def lone(name: str) -> PodInfo:
    return pod_info(pod(name, namespace="default", uid=name))


def decisions(nodes: int, make: Callable[[str], PodInfo], pods: int) -> float:
    """Pods given a node, and assumed there, in a second; what the informers do before is not counted."""
    cache, tables, chance = Cache(), Tables(FILTERS, SCORES), random.Random(1)
    for number in range(nodes):
        cache.set_node(node(number))
    waiting = [make(f"pod-{number}") for number in range(pods)]
    began = time.perf_counter()
    for each in waiting:
        found = schedule(each, cache.snapshot(), chance, tables=tables)
        assert isinstance(found, Placed)
        cache.assume(each, found.node)
    return pods / (time.perf_counter() - began)


class Control(Bench):
    """A server with programs beside it."""

    @contextmanager
    def program(self, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        user = self.server.user(f"system:{name}")
        command = [sys.executable, "-m", MODULES[name], f"--kubeconfig={user}", *arguments]
        with open(self.server.home / f"{name}.log", "ab") as log:
            process = subprocess.Popen(command, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(10)

    async def all(self, requests: list[bytes], clients: int = 16, good: tuple[int, ...] = (200, 201)) -> None:
        todo = iter(requests)

        async def one(connection: Connection) -> None:
            for each in todo:
                status, body = await connection.ask(each)
                assert status in good, body[:300]
            connection.close()

        await asyncio.gather(*[one(await self.connect()) for _ in range(clients)])

    async def nodes(self, count: int) -> None:
        await self.all([request("POST", NODES, node(number)) for number in range(count)])
        calm = {"spec": {"taints": None}}  # each is born with the taint not-ready, which a controller would take off
        await self.all([request("PATCH", f"{NODES}/node-{number}", calm, MERGE) for number in range(count)])
        body = {"status": node(0)["status"]}
        paths = [f"{NODES}/node-{number}/status" for number in range(count)]
        await self.all([request("PATCH", path, body, STRATEGIC) for path in paths])

    async def account(self) -> None:
        body = {"metadata": {"name": "default"}}
        await self.all([request("POST", "/api/v1/namespaces/default/serviceaccounts", body)], 1, (201, 409))

    async def counted(self, watcher: Watcher, wanted: int, seconds: float = 60.0) -> None:
        """Until the watcher has had so many events."""
        end = time.perf_counter() + seconds
        while watcher.events < wanted:
            assert time.perf_counter() < end, f"{watcher.events} of {wanted} after {seconds} s"
            await asyncio.sleep(0.001)

    async def begun(self, path: str, on_data: Callable[[bytes], None] | None = None) -> Watcher:
        _, watcher = await asyncio.get_running_loop().create_connection(
            lambda: Watcher(path, on_data), "127.0.0.1", self.server.port, ssl=self.context
        )
        await asyncio.wait_for(watcher.begun.wait(), 30)
        return watcher

    async def bound(self, nodes: int, pods: int) -> float:
        """Pods bound in a second, all of them waiting when the scheduler starts; from the first to the last."""
        await self.account()
        await self.nodes(nodes)
        await self.all([request("POST", PODS, pod(f"pod-{number}")) for number in range(pods)])
        watcher = await self.begun(f"{PODS}?fieldSelector=spec.nodeName!%3D")
        with self.program(SCHEDULER, "--leader-elect=false"):
            await self.counted(watcher, 1)
            began, before = time.perf_counter(), watcher.events
            await self.counted(watcher, pods)
            found = (pods - before) / (time.perf_counter() - began)
        watcher.transport.abort()
        return found

    async def deployment(self, name: str, replicas: int) -> float:
        """Seconds from the Deployment's creation to its last pod's."""
        watcher = await self.begun(f"{PODS}?labelSelector=app%3D{name}")
        template = {"metadata": {"labels": {"app": name}}, "spec": pod(name)["spec"]}
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
        body = {"metadata": {"name": name}, "spec": spec}
        began = time.perf_counter()
        await self.all([request("POST", "/apis/apps/v1/namespaces/default/deployments", body)], 1)
        await self.counted(watcher, replicas)
        took = time.perf_counter() - began
        watcher.transport.abort()
        return took

    async def emptied(self, objects: int) -> float:
        """Seconds in which a namespace of so many objects goes: ConfigMaps, Secrets and pods."""
        await self.all([request("POST", "/api/v1/namespaces", {"metadata": {"name": "full"}})], 1)
        base = "/api/v1/namespaces/full"
        await self.all([request("POST", f"{base}/serviceaccounts", {"metadata": {"name": "default"}})], 1, (201, 409))
        made = []
        for number in range(objects):
            meta = {"metadata": {"name": f"o-{number}"}}
            kind, body = (("configmaps", meta), ("secrets", meta), ("pods", pod(f"o-{number}")))[number % 3]
            made.append(request("POST", f"{base}/{kind}", body))
        await self.all(made)
        connection = await self.connect()
        began = time.perf_counter()
        await connection.ask(request("DELETE", base))
        while (await connection.ask(request("GET", base)))[0] != 404:
            assert time.perf_counter() - began < 120
            await asyncio.sleep(0.02)
        connection.close()
        return time.perf_counter() - began

    async def endpoints(self, pods: int, changes: int) -> tuple[list[float], list[float]]:
        """Milliseconds from a pod's readiness to its EndpointSlice, and of the pod's own write alone; in order."""
        ports = [{"port": 80}]
        service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "bench"}, "ports": ports}}
        await self.all([request("POST", PODS, pod(f"web-{number}")) for number in range(pods)])
        binding = {"target": {"kind": "Node", "name": "node-0"}}
        await self.all([request("POST", f"{PODS}/web-{number}/binding", binding) for number in range(pods)])
        await self.all([_ready(number, True) for number in range(pods)])
        await self.all([request("POST", "/api/v1/namespaces/default/services", service)], 1)
        seen: list[float] = []
        told = asyncio.Event()

        def note(data: bytes) -> None:
            seen.append(time.perf_counter())
            told.set()

        path = (
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name%3Dweb"
        )
        watcher = await self.begun(path, note)
        await asyncio.sleep(1.0)
        connection = await self.connect()
        times: list[float] = []
        writes: list[float] = []
        for number in range(changes):
            seen.clear()
            told.clear()
            began = time.perf_counter()
            await connection.ask(_ready(number % pods, number // pods % 2 == 1))
            writes.append((time.perf_counter() - began) * 1000)
            await asyncio.wait_for(told.wait(), 10)
            times.append((seen[0] - began) * 1000)
            await asyncio.sleep(0.03)
        watcher.transport.abort()
        connection.close()
        return sorted(times), sorted(writes)


def _ready(number: int, ready: bool) -> bytes:
    address = f"10.10.{number // 250}.{number % 250 + 1}"
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": str(ready)}],
    }
    return request("PATCH", f"{PODS}/web-{number}/status", {"status": status}, STRATEGIC)


def ticks(process: subprocess.Popen[bytes]) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss(process: subprocess.Popen[bytes]) -> float:
    """MiB, the interpreter's own pages among them: what a process weighs that was forked from nobody."""
    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) / 1024


def algorithm(say: Say, quick: bool) -> None:
    for nodes in (100, 1000, 5000):
        pods = min(nodes * 50, 2000 if quick else 10_000)
        best = max(decisions(nodes, lone, pods) for _ in range(1 if quick else 3))
        say(f"decisions, {nodes:,} nodes", f"{best:,.0f}/s", "25,000/s" if nodes == 5000 else "")
    best = max(decisions(5000, owned, pods) for _ in range(1 if quick else 3))
    say("decisions, 5,000 nodes, replicas of one owner", f"{best:,.0f}/s", "25,000/s")


def fresh(work: Callable[[Control], Any]) -> Any:
    """The stage on a new server."""
    with running() as server:
        return uvloop.run(work(Control(server, 1.0, 1)))


def binding(say: Say, quick: bool) -> None:
    for nodes in (100, 1000) if quick else (100, 1000, 5000):
        found = fresh(lambda bench, nodes=nodes: bench.bound(nodes, 500 if quick else 3000))
        say(f"pods bound, {nodes:,} nodes", f"{found:,.0f}/s", "1,000/s" if nodes == 5000 else "")


def controllers(say: Say, quick: bool) -> None:
    async def work(bench: Control) -> None:
        await bench.account()
        with bench.program(MANAGER, "--leader-elect=false", PATIENT):
            await bench.deployment("warm", 3)
            took = [await bench.deployment(f"small-{turn}", 200) for turn in range(1 if quick else 3)]
            say("Deployment of 200 replicas to 200 pods", f"{min(took):.2f} s", "0.5 s")
            if not quick:
                say("Deployment of 1,000 replicas to 1,000 pods", f"{await bench.deployment('big', 1000):.2f} s", "")
            objects = 1000 if quick else 5000
            say(f"namespace of {objects:,} objects deleted", f"{await bench.emptied(objects):.1f} s", "")

    fresh(work)


def endpoints(say: Say, quick: bool) -> None:
    async def work(bench: Control) -> None:
        await bench.account()
        await bench.nodes(4)
        with bench.program(MANAGER, "--leader-elect=false", PATIENT):
            found = await bench.endpoints(50, 50 if quick else 300)
        for what, times in zip(("readiness to EndpointSlice", "of it the pod's own write"), found, strict=True):
            target = "20 ms" if times is found[0] else ""
            say(f"{what}, p50", f"{times[len(times) // 2]:.1f} ms", "")
            say(f"{what}, p99", f"{times[int(len(times) * 0.99)]:.1f} ms", target)

    fresh(work)


def idle(say: Say, quick: bool) -> None:
    """With leader election, four nodes and the pods of a Deployment, nothing changing."""

    async def work(bench: Control) -> None:
        await bench.account()
        await bench.nodes(4)
        with bench.program(MANAGER, PATIENT) as manager, bench.program(SCHEDULER) as scheduler:
            await bench.deployment("web", 20)
            await asyncio.sleep(3.0)
            before, seconds = [ticks(each) for each in (manager, scheduler)], 5 if quick else 20
            await asyncio.sleep(seconds)
            for name, each, was in zip((MANAGER, SCHEDULER), (manager, scheduler), before, strict=True):
                say(f"{name}, idle", f"{(ticks(each) - was) / seconds * 100:.1f} % cpu", "1 % cpu")
                say(f"{name}, memory", f"{rss(each):.0f} MiB", "")

    fresh(work)


STAGES = {each.__name__: each for each in (algorithm, binding, controllers, endpoints, idle)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of each, nothing with 5,000 nodes but the algorithm")
    parser.add_argument("--only", choices=STAGES, action="append", help="this stage; may be repeated")
    chosen = parser.parse_args()
    today = datetime.datetime.now(datetime.UTC).date()
    print(f"{today}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, "
          f"load average {os.getloadavg()[0]:.1f} before\n")  # fmt: skip
    print(f"{'':48}{'measured':>12}{'target':>12}")

    def say(what: str, found: str, target: str) -> None:
        print(f"{what:48}{found:>12}{target:>12}", flush=True)

    for name, stage in STAGES.items():
        if not chosen.only or name in chosen.only:
            stage(say, chosen.quick)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
