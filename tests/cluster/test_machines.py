"""Two machines on one LAN, a control plane and a worker, each by `panal host`: network namespaces stand for them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import ROOT, until

from panal import linux
from panal.agents.network.netns import NetnsLAN
from panal.paths import ClusterPaths

MACHINES = {"nodo1": "192.168.0.100", "nodoa": "192.168.0.101"}
CONFIG = """\
apiVersion: panal.dev/v1
kind: Cluster
metadata: {name: two}
spec:
  lan: 192.168.0.0/24
  podCIDR: 10.10.0.0/24
  nodes: [{name: nodo1, address: 192.168.0.100}, {name: nodoa, address: 192.168.0.101}]
  hosts: []
  ingress: {enabled: false}
"""
PODS = """\
apiVersion: v1
kind: Pod
metadata: {{name: on-{node}}}
spec:
  nodeName: {node}
  containers:
  - name: page
    image: python:3
    command: [python3, -m, http.server, "8000"]
    readinessProbe: {{httpGet: {{path: /, port: 8000}}, periodSeconds: 1}}
"""


def _machines(folder: Path, ready: Callable[[], None], stay: Callable[[], None]) -> None:
    """A LAN and its machines, in namespaces of this process, for as long as it lives."""
    import asyncio

    linux.unshare(linux.CLONE_NEWNET | linux.CLONE_NEWNS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)

    async def build() -> dict[str, str]:
        lan = NetnsLAN("192.168.0.0/24", folder / "netns")
        return {name: str((await lan.add_host(name, address)).netns) for name, address in MACHINES.items()}

    places = asyncio.run(build())
    for name, place in places.items():
        (folder / name).mkdir()
        environ = {**os.environ, "PANAL_HOME": str(folder / name / "panal"), "HOME": str(folder / name)}
        with (folder / f"{name}.log").open("wb") as log:
            child = subprocess.Popen(
                ["nsenter", f"--net={place}", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                 sys.executable, "-m", "panal.command", "host", name, f"--config={folder}/cluster.yaml",
                 f"--join={folder}/join", f"--apply={folder}/manifests"],
                env=environ, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
        (folder / f"{name}.pid").write_text(str(child.pid))
    ready()
    stay()


@pytest.mark.skipif(
    not os.environ.get("PANAL_TEST_ALL"), reason="another way to what the compose test shows: PANAL_TEST_ALL=1"
)
@pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces as root")
def test_a_second_machine_joins_with_the_first_ones_file_and_pods_reach_each_other(short_path: Path) -> None:
    (short_path / "cluster.yaml").write_text(CONFIG)
    (short_path / "manifests").mkdir()
    (short_path / "join").mkdir()
    for node in MACHINES:
        (short_path / "manifests" / f"{node}.yaml").write_text(PODS.format(node=node))
    fork = multiprocessing.get_context("fork")
    ready, over = fork.Event(), fork.Event()
    process = fork.Process(target=_machines, args=(short_path, ready.set, over.wait))
    process.start()
    try:
        assert ready.wait(30)
        kubeconfig = ClusterPaths.of(short_path / "nodo1" / "panal", "two").kubeconfig
        pid = int((short_path / "nodo1.pid").read_text())

        def kubectl(*words: str) -> str:
            inside = ["nsenter", f"--net=/proc/{pid}/ns/net", "kubectl", f"--kubeconfig={kubeconfig}", *words]
            return subprocess.run(inside, capture_output=True, text=True, check=True, timeout=30).stdout

        until(lambda: kubectl("get", "nodes").count(" Ready ") == 2, seconds=60, what="both nodes are Ready")
        until(lambda: kubectl("get", "pods").count("1/1") == 2, seconds=60, what="both pods are ready")
        shown = r"jsonpath={range .items[*]}{.metadata.name} {.status.podIP}{'\n'}{end}"
        addresses = dict(line.split() for line in kubectl("get", "pods", "-o", shown).splitlines())
        for source, target in (("on-nodo1", "on-nodoa"), ("on-nodoa", "on-nodo1")):
            code = f"import urllib.request as u; print(u.urlopen('http://{addresses[target]}:8000/', timeout=5).status)"
            assert kubectl("exec", source, "--", "python3", "-c", code).strip() == "200"
    finally:
        for name in MACHINES:
            print((short_path / f"{name}.log").read_text(errors="replace")[-3000:])
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((short_path / f"{name}.pid").read_text()), signal.SIGKILL)
        over.set()
        process.join(10)
        process.kill()
