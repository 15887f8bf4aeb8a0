"""A real API server, the real controller manager and scheduler as processes, and nodes that only claim to run pods."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from panal import addons
from panal.client import Client, Unreachable
from panal.errors import Conflict, NotFound, StatusError
from panal.informer import Applied, Deleted, Delta, Informer
from panal.resources import LEASES, NAMESPACES, NODES, PODS, resource

STORAGECLASSES = resource("storageclasses")
SERVICEACCOUNTS = resource("serviceaccounts")

Object = dict[str, Any]


def _server_module() -> ModuleType:
    """The API server's own test harness, which lives beside its tests."""
    path = Path(__file__).parents[1] / "apiserver" / "http" / "conftest.py"
    spec = importlib.util.spec_from_file_location("apiserver_harness", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@dataclass
class ControlPlane:
    """The processes, and how to reach them."""

    server: Any
    home: Path
    kubeconfig: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, module: str, *arguments: str, pod: str = "") -> None:
        """Start a component; `pod` is the name it has as one of several."""
        user = self.server.user(f"system:{name}")
        command = [sys.executable, "-m", module, f"--kubeconfig={user}", *arguments]
        pod = pod or name
        with open(self.home / f"{pod}.log", "ab") as log:
            self.processes[pod] = subprocess.Popen(command, stderr=log, env={**os.environ, "POD_NAME": pod})

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes.pop(name).wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for name, process in self.processes.items():
            assert process.wait(10) == 0, self.log(name)

    def log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text()

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        program = shutil.which("kubectl")
        if program is None:
            assert not os.environ.get("CI"), "CI must have kubectl"
            pytest.skip("kubectl is not installed")
        done = subprocess.run(
            [program, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done.stdout


MANAGER = "kube-controller-manager"


@pytest.fixture(scope="module")
def bare_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server alone; a module that starts other components than `plane` builds on it."""
    home = tmp_path_factory.mktemp("plane")
    server = _server_module().make(home)
    server.start()
    found = ControlPlane(server, home, server.user("admin", "system:masters"))
    yield found
    try:
        found.stop()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def plane(bare_plane: ControlPlane) -> ControlPlane:
    ca = f"--root-ca-file={bare_plane.home}/pki/ca.crt"
    volumes = bare_plane.home / "volumes"
    volumes.mkdir()
    folder = f"--local-path-folder={volumes}"
    bare_plane.start(MANAGER, "panal.controlplane.controllers", ca, "--node-monitor-grace-period=4s", folder)
    bare_plane.start("kube-scheduler", "panal.controlplane.scheduler")
    return bare_plane


@pytest.fixture
async def client(plane: ControlPlane) -> AsyncIterator[Client]:
    async with Client.from_kubeconfig(plane.kubeconfig) as found:
        yield found


@pytest.fixture
async def namespace(client: Client, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own, with its ServiceAccount."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:60].strip("-")
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    await eventually(lambda: client.get(SERVICEACCOUNTS, "default", name))
    return name


@pytest.fixture
async def local_path(client: Client) -> AsyncIterator[None]:
    """The default storage class of a cluster."""
    made = addons.storage_class()
    await client.create(STORAGECLASSES, made)
    yield
    await client.delete(STORAGECLASSES, made["metadata"]["name"])


class Nodes:
    """Nodes whose kubelets start nothing: pods bound to them become Ready at once, and vanish when deleted."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._pods = Informer(client, PODS)
        self._nodes = Informer(client, NODES)
        self._pods.subscribe(self._on)
        self._queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.names: set[str] = set()
        self.holds: Callable[[Object], bool] = lambda pod: False
        """Pods that are kept from becoming Ready."""
        self._address = 0

    async def add(self, name: str, *, cpu: str = "4", pods: str = "110") -> None:
        amounts = {"cpu": cpu, "memory": "10Gi", "pods": pods}
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "spec": {"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]},
        }
        made = await self._client.create(NODES, node)
        self.names.add(name)
        status = {"capacity": amounts, "allocatable": amounts, "conditions": [ready_condition()]}
        await self._client.patch(NODES, name, {"status": status}, subresource="status")
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "namespace": "kube-node-lease"},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": micro_now()},
        }
        with contextlib.suppress(NotFound):
            await self._client.delete(LEASES, name, "kube-node-lease")
        await self._client.create(LEASES, lease, "kube-node-lease")
        assert made["metadata"]["name"] == name

    async def beat(self) -> None:
        while True:
            await asyncio.sleep(1)
            for name in list(self.names):
                patch = {"spec": {"renewTime": micro_now()}}
                with contextlib.suppress(Unreachable, StatusError):
                    await self._client.patch(LEASES, name, patch, "kube-node-lease")
                    if name in self.names and self._is_given_up(name):
                        await self.revive(name)  # the API server, or this loop, was away for longer than the grace

    def _is_given_up(self, name: str) -> bool:
        found = ((self._nodes.get("", name) or {}).get("status") or {}).get("conditions") or ()
        return any(item["type"] == "Ready" and item["status"] == "Unknown" for item in found)

    async def revive(self, name: str) -> None:
        self.names.add(name)
        patch = {"status": {"conditions": [ready_condition()]}}
        await self._client.patch(NODES, name, patch, kind="strategic", subresource="status")

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pods.run())
            group.create_task(self._nodes.run())
            group.create_task(self.beat())
            while True:
                namespace, name = await self._queue.get()
                group.create_task(self._settle(namespace, name))

    def release(self) -> None:
        """Let every pod become Ready."""
        self.holds = lambda pod: False
        for pod in self._pods.all():
            self._queue.put_nowait((pod["metadata"]["namespace"], pod["metadata"]["name"]))

    def _on(self, delta: Delta) -> None:
        match delta:
            case Applied(new, _):
                self._queue.put_nowait((new["metadata"]["namespace"], new["metadata"]["name"]))
            case Deleted(_):
                pass

    async def _settle(self, namespace: str, name: str) -> None:
        pod = self._pods.get(namespace, name)
        if pod is None or pod["spec"].get("nodeName") not in self.names:
            return
        with contextlib.suppress(NotFound, Conflict, Unreachable):
            if pod["metadata"].get("deletionTimestamp"):
                await self._client.delete(PODS, name, namespace, grace_seconds=0, uid=pod["metadata"]["uid"])
            elif not self.holds(pod) and pod["status"].get("phase") in ("Pending", "Running"):
                said = {c["type"]: c["status"] for c in pod["status"].get("conditions") or ()}
                if said.get("Ready") != "True":  # not yet, or not any more, as a silent node's pods are marked
                    await self._start(pod)

    async def _start(self, pod: Object) -> None:
        self._address += 1
        ip = pod["status"].get("podIP") or f"10.10.{self._address // 250}.{self._address % 250 + 1}"
        status = {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [ready_condition()],
        }
        patch = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        meta = pod["metadata"]
        await self._client.patch(PODS, meta["name"], patch, meta["namespace"], kind="strategic", subresource="status")


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def micro_now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1000 % 1000000:06d}Z"


def ready_condition() -> Object:
    return {
        "type": "Ready",
        "status": "True",
        "lastTransitionTime": now(),
        "lastHeartbeatTime": now(),
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
    }


@pytest.fixture
async def nodes(client: Client) -> AsyncIterator[Nodes]:
    """Two nodes, a and b, as a test's own; gone with it."""
    found = Nodes(client)
    await found.add("a")
    await found.add("b")
    task = asyncio.get_running_loop().create_task(found.run())
    yield found
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
        await task
    for node in (await client.list(NODES))["items"]:
        await client.delete(NODES, node["metadata"]["name"])
    for pod in (await client.list(PODS))["items"]:
        meta = pod["metadata"]
        with contextlib.suppress(NotFound):
            await client.delete(PODS, meta["name"], meta["namespace"], grace_seconds=0)


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = 30.0) -> Any:
    """The first true answer of `look`; fails after `seconds`, showing the last AssertionError."""
    deadline, problem = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            if found := await look():
                return found
        except (AssertionError, NotFound) as error:
            problem = error
        await asyncio.sleep(0.02)
    raise AssertionError(f"did not become true in {seconds} s") from problem


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., Awaitable[Any]]:
    return eventually
