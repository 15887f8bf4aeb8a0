"""Real runtime daemons: as the machine's root, as the root of a user namespace with one user, and plain."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from panal import addresses
from panal.agents.runtime import processes
from panal.agents.runtime.client import RuntimeClient
from panal.agents.runtime.contract import Container, ContainerConfig, ContainerState, Sandbox, SandboxConfig
from panal.config import NodeConfig, NodeSpec, dump
from panal.paths import ClusterPaths

HOLDER = Path(__file__).parent / "holder.py"
PATIENCE = 2000
"""Looks, 20 ms apart: other tests may have the machine to themselves for a while."""
ISOLATE = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")


@functools.cache
def works(*arguments: str) -> bool:
    """Whether `unshare` with these arguments is allowed here."""
    command = ["unshare", *arguments, "true"]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


@dataclass
class Node:
    """One node's daemon and what tests ask of it."""

    kind: str
    paths: ClusterPaths
    runtime: RuntimeClient
    holder: subprocess.Popen[bytes]
    logs: dict[str, Path] = field(default_factory=dict)

    @property
    def namespaces(self) -> bool:
        return self.kind != "plain"

    async def pod(self, name: str = "web", **more: object) -> Sandbox:
        return await self.runtime.run_sandbox(SandboxConfig(name, "default", f"uid-{name}", **more))  # type: ignore[arg-type]

    async def run(self, *command: str, sandbox: Sandbox | None = None, image: str = "debian", **more: object) -> str:
        """Create and start a container in a pod of its own, or in this one; returns its id."""
        sandbox = sandbox or await self.pod()
        log = self.paths.root / f"log-{uuid.uuid4().hex}"
        config = ContainerConfig("main", image, command=command or None, log_path=str(log), **more)  # type: ignore[arg-type]
        container = await self.runtime.create(sandbox.id, config)
        self.logs[container] = log
        await self.runtime.start(container)
        return container

    async def container(self, container_id: str) -> Container:
        return next(found for found in await self.runtime.containers() if found.id == container_id)

    async def ended(self, container_id: str) -> Container:
        return await self.until(container_id, lambda found: found.state is ContainerState.EXITED)

    async def until(self, container_id: str, ready: Callable[[Container], bool]) -> Container:
        for _ in range(PATIENCE):
            with contextlib.suppress(Exception):
                if ready(found := await self.container(container_id)):
                    return found
            await asyncio.sleep(0.02)
        raise AssertionError(await self.container(container_id))

    def output(self, container_id: str) -> str:
        """What the container wrote to both outputs."""
        lines = self.logs[container_id].read_text().splitlines()
        return "\n".join(line.split(" ", 3)[3] for line in lines)

    async def said(self, container_id: str, words: str) -> str:
        for _ in range(PATIENCE):
            if self.logs[container_id].exists() and words in self.output(container_id):
                return self.output(container_id)
            await asyncio.sleep(0.02)
        raise AssertionError(self.output(container_id))

    def daemon(self) -> processes.Process:
        return self._find(b"holder.py", children_of_root=True)

    def spawner(self) -> processes.Process:
        daemon = self.daemon()
        return next(p for p in processes.everyone() if p.parent == daemon.pid and p.state != "Z")

    def _find(self, name: bytes, *, children_of_root: bool) -> processes.Process:
        family = processes.family(processes.everyone(), self.holder.pid, processes.start_time(self.holder.pid))
        holder = next(p for p in family if name in cmdline(p.pid) and cmdline(p.pid).split(b"\0")[0] == PYTHON)
        return next(
            p for p in processes.everyone() if p.parent == holder.pid and name in cmdline(p.pid) and p.state != "Z"
        )

    async def kill(self, which: str) -> None:
        """kill -9 the daemon or its spawner, and wait until another daemon answers."""
        before = self.daemon().pid
        os.kill(before if which == "daemon" else self.spawner().pid, signal.SIGKILL)
        for _ in range(PATIENCE):
            with contextlib.suppress(StopIteration):
                if self.daemon().pid != before:
                    await self.runtime.sandboxes()
                    return
            await asyncio.sleep(0.02)
        raise AssertionError("the daemon did not come back")


PYTHON = os.fsencode(sys.executable)


def cmdline(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def config(kind: str, home: Path) -> NodeConfig:
    plain = kind == "plain"
    return NodeConfig(
        cluster="test",
        node=NodeSpec(
            "nodo1",
            "127.168.0.100" if plain else "192.168.0.100",
            f"127.10.{os.getpid() % 250}.0/24" if plain else "10.10.0.0/24",
        ),
        network="loopback" if plain else "netns",
        proxy_mode="userspace",
        runtime="plain" if plain else "namespaces",
        home=str(home),
        server="https://192.168.0.100:6443",
        cluster_dns="10.96.0.10",
        cluster_domain="cluster.local",
        service_cidr="10.96.0.0/12",
        cluster_pod_cidr="10.10.0.0/16",
    )


def command(kind: str) -> list[str]:
    if kind == "plain":
        return []
    user = ["--user", "--map-root-user"] if kind == "user" else []
    if not works(*user, *ISOLATE):
        pytest.skip("this machine allows no such namespaces")
    return ["unshare", *user, *ISOLATE, "sh", "-c", 'ip link set lo up; exec "$0" "$@"']


@dataclass
class Held:
    """A holder with its daemon, kept for all tests of a module."""

    kind: str
    paths: ClusterPaths
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module", params=["root", "user", "plain"])
def held(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    kind = str(request.param)
    if kind == "root" and os.geteuid() != 0:
        pytest.skip("needs root")
    isolate = command(kind)
    paths = ClusterPaths(tmp_path_factory.mktemp(kind) / "panal" / "clusters" / "test")
    mine = paths.node("nodo1")
    mine.root.mkdir(parents=True)
    mine.config.write_bytes(dump(config(kind, paths.root)))
    before = mount_points()
    with (paths.root / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [*isolate, sys.executable, str(HOLDER), str(mine.config), str(paths.root / "exits.jsonl")],
            stdout=log,
            stderr=log,
            env=environment(kind),
        )
    try:
        yield Held(kind, paths, process)
    finally:
        end(process)
        print((paths.root / "daemon.log").read_text())
    assert not [point for point in mount_points() if point not in before and str(paths.root) in point]


def environment(kind: str) -> dict[str, str]:
    """As the steward gives it to a node's daemons."""
    loopback = {"PANAL_NETWORK": "loopback"} if kind == "plain" else {}
    shifted = {"PANAL_LOW_PORTS": "shifted"} if kind == "plain" and not addresses.low_ports_bindable() else {}
    return {**os.environ, **loopback, **shifted}


@pytest.fixture
async def node(held: Held) -> AsyncIterator[Node]:
    runtime = RuntimeClient(
        held.paths.node("nodo1").runtime_socket, patience=15, containers=held.paths.node("nodo1").runtime / "containers"
    )
    made = Node(held.kind, held.paths, runtime, held.process)
    try:
        yield made
        for sandbox in await runtime.sandboxes():
            await runtime.remove_sandbox(sandbox.id)
        assert list(await runtime.containers()) == []
    finally:
        await runtime.close()


def end(holder: subprocess.Popen[bytes]) -> None:
    family = processes.family(processes.everyone(), holder.pid, processes.start_time(holder.pid))
    holder.kill()
    holder.wait()
    for process in family:
        with contextlib.suppress(OSError):
            if processes.start_time(process.pid) == process.start:
                os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(
        processes.start_time(p.pid) == p.start and (q := processes.read(p.pid)) and q.state != "Z" for p in family
    ):
        time.sleep(0.02)


def mount_points() -> list[str]:
    return Path("/proc/self/mountinfo").read_text().splitlines()
