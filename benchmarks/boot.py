"""`make bench-boot`: how long a four-node cluster takes to be of use, stage by stage, and what it weighs.

The stages are those of minikube's time-to-k8s page (command returns, API server answers, `kubernetes` Service, DNS
Service, application running, DNS answering) and two more: all nodes Ready, and a request answered through load
balancer, NodePort, ingress and pod. Every stage is seen from outside by asking for it again and again, and counted in
seconds from the start of the command. Then pods are created one by one, and timed from create to Ready.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil

from panal import linux
from panal.client import Client, Unreachable
from panal.errors import StatusError
from panal.paths import ClusterPaths
from panal.resources import DEPLOYMENTS, INGRESSES, NODES, PODS, SERVICES

STAGES = (
    "command returns",
    "API server answers",
    "kubernetes Service",
    "DNS Service",
    "4 nodes Ready",
    "application running",
    "DNS answering",
    "ingress request answered",
)
LIMIT_SECONDS = 60.0
HOST = "hello.example.com"

SERVER = (
    "import os, http.server as h\n"
    "class H(h.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(200); self.send_header('Content-Length', '3'); self.end_headers()\n"
    "        self.wfile.write(b'ok\\n')\n"
    "    def log_message(self, *a): pass\n"
    "h.ThreadingHTTPServer((os.environ['POD_IP'], 8000), H).serve_forever()\n"
)
LABELS = {"app": "hello"}
POD_IP = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
APPLICATION: tuple[tuple[Any, dict[str, Any]], ...] = (
    (
        DEPLOYMENTS,
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "hello", "namespace": "default"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": LABELS},
                "template": {
                    "metadata": {"labels": LABELS},
                    "spec": {
                        "containers": [
                            {"name": "web", "image": "python", "command": ["python3", "-c", SERVER], "env": [POD_IP]}
                        ]
                    },
                },
            },
        },
    ),
    (
        SERVICES,
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "hello", "namespace": "default"},
            "spec": {"selector": LABELS, "ports": [{"port": 80, "targetPort": 8000}]},
        },
    ),
    (
        INGRESSES,
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "hello", "namespace": "default"},
            "spec": {
                "ingressClassName": "panal",
                "rules": [
                    {
                        "host": HOST,
                        "http": {
                            "paths": [
                                {
                                    "path": "/",
                                    "pathType": "Prefix",
                                    "backend": {"service": {"name": "hello", "port": {"number": 80}}},
                                }
                            ]
                        },
                    }
                ],
            },
        },
    ),
)


class Run:
    """One cluster from nothing to an answered request."""

    def __init__(self, home: Path, network: str, proxy_mode: str) -> None:
        self.home = home
        self.paths = ClusterPaths.of(home / "panal", "panal")
        self.environ = {**os.environ, "PANAL_HOME": str(home / "panal"), "KUBECONFIG": str(home / "kubeconfig")}
        self.arguments = ["--network", network, "--proxy-mode", proxy_mode]
        self.seconds: dict[str, float] = {}
        self.began = 0.0

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "panal.command", *words]

    async def measure(self) -> dict[str, float]:
        self.began = time.monotonic()
        up = await asyncio.create_subprocess_exec(
            *self.command("up", *self.arguments),
            env=self.environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as group:
                group.create_task(self._returns(up))
                group.create_task(self._api())
                group.create_task(self._dns())
        finally:
            if up.returncode is None:  # a stage took too long, or Ctrl-C: what it started is taken down by `down`
                up.kill()
                await up.wait()
        return self.seconds

    def note(self, stage: str, when: float | None = None) -> None:
        self.seconds[stage] = (when or time.monotonic()) - self.began

    async def _returns(self, up: asyncio.subprocess.Process) -> None:
        _, errors = await up.communicate()
        if up.returncode:
            raise SystemExit(f"panal up failed: {errors.decode()}")
        self.note("command returns")

    async def _api(self) -> None:
        while not self.paths.kubeconfig.exists():
            await asyncio.sleep(0.005)
        async with Client.from_kubeconfig(self.paths.kubeconfig, user_agent="bench-boot") as client:

            async def seen(stage: str, check: Callable[[], Awaitable[bool]]) -> None:
                while True:
                    try:
                        if await check():
                            self.note(stage)
                            return
                    except (Unreachable, StatusError, KeyError):
                        pass
                    await asyncio.sleep(0.01)

            async def ready() -> bool:
                return bool(await client.request("GET", "/readyz"))

            async def service(namespace: str, name: str) -> bool:
                return bool(await client.get(SERVICES, name, namespace))

            async def nodes() -> bool:
                items = (await client.list(NODES))["items"]
                return sum(_ready(node) for node in items) == 4

            async def running() -> bool:
                pods = (await client.list(PODS, "default"))["items"]
                return any(pod["status"]["phase"] == "Running" and _ready(pod) for pod in pods)

            await seen("API server answers", ready)
            await self._deploy(client)
            async with asyncio.TaskGroup() as group:
                group.create_task(seen("kubernetes Service", lambda: service("default", "kubernetes")))
                group.create_task(seen("DNS Service", lambda: service("kube-system", "kube-dns")))
                group.create_task(seen("4 nodes Ready", nodes))
                group.create_task(seen("application running", running))
                group.create_task(seen("ingress request answered", self._page))

    async def _deploy(self, client: Client) -> None:
        for resource, obj in APPLICATION:
            while True:
                try:
                    await client.create(resource, obj)
                    break
                except (Unreachable, StatusError) as error:
                    if isinstance(error, StatusError) and error.reason == "AlreadyExists":
                        break
                    await asyncio.sleep(0.01)

    async def _page(self) -> bool:
        from panal.config import load_cluster

        port = load_cluster(self.paths.config).http_port
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        try:
            writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
            line = await asyncio.wait_for(reader.readline(), 1)
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()
        return b" 200 " in line

    async def _dns(self) -> None:
        """Ask the cluster's DNS from a node, in a process of our own inside the cluster's namespaces."""
        while not _written(self.paths.root / "steward.pid") or not self.paths.config.exists():
            await asyncio.sleep(0.005)
        ours, theirs = os.pipe()
        if (child := os.fork()) == 0:
            try:
                os.write(theirs, repr(_first_dns_answer(self.paths)).encode())
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(theirs)
        try:
            loop = asyncio.get_running_loop()
            text = await loop.run_in_executor(None, os.read, ours, 64)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(ours)
        self.note("DNS answering", float(text))

    def weight(self) -> tuple[float, int]:
        """PSS of all the cluster's processes in MiB, and how many they are; the application's own is not counted."""
        steward = psutil.Process(int((self.paths.root / "steward.pid").read_text()))
        keeper = steward.parent()
        assert keeper is not None
        total = count = 0
        for process in [keeper, *keeper.children(recursive=True)]:
            with contextlib.suppress(ProcessLookupError, FileNotFoundError, psutil.NoSuchProcess):  # ended meanwhile
                if SERVER in process.cmdline():
                    continue
                with open(f"/proc/{process.pid}/smaps_rollup") as file:
                    total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
                count += 1
        return total / 1024, count

    async def pods(self, count: int) -> list[float]:
        """Milliseconds from create to Ready of pods created one after another."""
        async with Client.from_kubeconfig(self.paths.kubeconfig, user_agent="bench-boot") as client:
            return [await _create_to_ready(client, f"timed-{number}") for number in range(count)]

    def down(self) -> None:
        """End the cluster, however far it came. Not `check`: the failure that led here is the one to be told."""
        quiet = subprocess.DEVNULL
        subprocess.run(self.command("down"), env=self.environ, check=False, stdout=quiet, stderr=quiet)


def _written(file: Path) -> bool:
    """Whether it is there and has content: a file appears before its content does."""
    try:
        return file.stat().st_size > 0
    except OSError:
        return False


def _ready(obj: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in obj["status"].get("conditions", ()))


async def _create_to_ready(client: Client, name: str) -> float:
    version = (await client.list(PODS, "default"))["metadata"]["resourceVersion"]
    container = {"name": "main", "image": "busybox", "command": ["sleep", "1000"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    async with client.watch(
        PODS, "default", resource_version=version, field_selector=f"metadata.name={name}"
    ) as events:
        began = time.monotonic()
        await client.create(PODS, pod)
        async for _, obj in events:
            if obj["kind"] == "Pod" and _ready(obj):
                took = (time.monotonic() - began) * 1000
                break
    await client.delete(PODS, name, "default", grace_seconds=0)
    return took


def _first_dns_answer(paths: ClusterPaths) -> float:
    """When the cluster's DNS first answered, on the machine's monotonic clock. Enters the cluster's namespaces."""
    from panal.addresses import real_port
    from panal.config import load_cluster

    config = load_cluster(paths.config)
    if config.network == "netns":
        _enter(paths, config.nodes[1].name)
    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    for label in f"kubernetes.default.svc.{config.cluster_domain}".split("."):
        query += bytes([len(label)]) + label.encode()
    query += b"\x00\x00\x01\x00\x01"
    shifted = {"PANAL_LOW_PORTS": "shifted"} if config.network == "loopback" and os.geteuid() else {}
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(0.02)
            try:
                asker.connect((config.dns_service_ip, real_port(53, shifted)))
                asker.send(query)
                answer = asker.recv(512)
            except OSError:
                time.sleep(0.005)
                continue
            if answer[:2] == query[:2] and answer[3] & 15 == 0 and answer[7] == 1:
                return time.monotonic()


def _enter(paths: ClusterPaths, node: str) -> None:
    pid = int((paths.root / "steward.pid").read_text())
    while True:
        try:
            kinds = ["mnt"] if os.geteuid() == 0 else ["user", "mnt"]
            for handle in [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds]:
                linux.setns(handle)
            break
        except OSError:
            time.sleep(0.005)
    while True:
        try:
            linux.setns(os.open(paths.namespaces / node, os.O_RDONLY))
            return
        except OSError:
            time.sleep(0.005)


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--pods", type=int, default=20, help="pods timed from create to Ready in the last run")
    parser.add_argument("--network", default="auto")
    parser.add_argument("--proxy-mode", default="auto")
    options = parser.parse_args()
    results: list[dict[str, float]] = []
    weights: list[tuple[float, int]] = []
    for number in range(options.runs):
        home = Path(tempfile.mkdtemp(prefix="panal-bench-"))
        run = Run(home, options.network, options.proxy_mode)
        try:
            results.append(await run.measure())
            weights.append(run.weight())
            if number == options.runs - 1:
                created = await run.pods(options.pods)
        finally:
            run.down()
            shutil.rmtree(home, ignore_errors=True)
    today = datetime.date.today().isoformat()
    machine = f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    print(f"{today}, {machine}, uid {os.geteuid()}, network {options.network}, proxy mode {options.proxy_mode}")
    print(f"{options.runs} runs; seconds from the start of the command\n")
    print(f"{'stage':<28}{'min':>8}{'median':>8}{'max':>8}")
    for stage in STAGES:
        values = [result[stage] for result in results]
        print(f"{stage:<28}{min(values):8.2f}{statistics.median(values):8.2f}{max(values):8.2f}")
    useful = [
        max(result[s] for s in ("4 nodes Ready", "DNS answering", "ingress request answered")) for result in results
    ]
    print(f"{'all of it':<28}{min(useful):8.2f}{statistics.median(useful):8.2f}{max(useful):8.2f}")
    mib = [weight for weight, _ in weights]
    print(f"\nPSS of {weights[-1][1]} processes, MiB{min(mib):8.0f}{statistics.median(mib):8.0f}{max(mib):8.0f}")
    p99 = sorted(created)[min(len(created) - 1, int(len(created) * 0.99))]
    print(f"pod create to Ready, ms: median {statistics.median(created):.0f}, p99 {p99:.0f} ({len(created)} pods)")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
