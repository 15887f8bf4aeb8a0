"""`panal host`: the control plane's node alone on its machine, which here is a network namespace with one address."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import ROOT, until

from panal.kubeconfig import access
from panal.paths import ClusterPaths

CONFIG = """\
apiVersion: panal.dev/v1
kind: Cluster
metadata: {name: one}
spec:
  lan: 192.168.0.0/24
  nodes: [{name: nodo1, address: 192.168.0.100}]
  hosts: [{name: menchupc, address: 192.168.0.200}]
  ingress: {enabled: false}
"""
MANIFEST = """\
apiVersion: v1
kind: Pod
metadata: {name: hello}
spec: {containers: [{name: hello, image: busybox, command: [sleep, "3600"]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: farewell}
spec:
  containers:
  - name: main
    image: busybox
    command: [sh, -c, "trap 'echo bye > /kept/words; exit 0' TERM; while :; do touch /kept/ready; sleep 0.1; done"]
    volumeMounts: [{name: kept, mountPath: /kept}]
  volumes: [{name: kept, hostPath: {path: KEPT}}]
"""
MACHINE = """
import os, sys
from panal.agents.network.netlink import Netlink
with Netlink() as netlink:
    netlink.set_up(1)
    netlink.add_bridge("eth0")
    netlink.add_address(netlink.index("eth0"), "192.168.0.100", 24)
    netlink.flush()
os.execv(sys.executable, [sys.executable, "-m", "panal.command", *sys.argv[1:]])
"""


class Machine:
    """A machine on which `panal host` runs in the foreground, as process 1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = ClusterPaths.of(folder / "panal", "one")
        self.config = folder / "cluster.yaml"
        self.config.write_text(CONFIG)
        (folder / "manifests").mkdir()
        (folder / "manifests" / "pod.yaml").write_text(MANIFEST.replace("KEPT", str(folder / "kept")))
        (folder / "join").mkdir()
        (folder / "kept").mkdir(mode=0o777)

    def start(self, name: str = "nodo1", *more: str) -> subprocess.Popen[str]:
        user = ["--user", "--map-root-user"] if os.geteuid() else []
        command = ["unshare", *user, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        words = [
            "host",
            name,
            f"--config={self.config}",
            f"--join={self.folder}/join",
            f"--apply={self.folder}/manifests",
            *more,
        ]
        environ = {**os.environ, "PANAL_HOME": str(self.folder / "panal"), "HOME": str(self.folder)}
        return subprocess.Popen(
            [*command, sys.executable, "-c", MACHINE, *words],
            env=environ, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def inside(self, process: subprocess.Popen[str], *words: str) -> subprocess.CompletedProcess[str]:
        """A command on that machine."""
        first = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
        user = ["--user", "--preserve-credentials"] if os.geteuid() else []
        environ = {**os.environ, "PANAL_HOME": str(self.folder / "panal"), "PANAL_CONFIG": str(self.config)}
        enter = ["nsenter", f"--target={first}", *user, "--net", "--mount", "--pid"]
        return subprocess.run([*enter, *words], env=environ, capture_output=True, text=True, timeout=30, cwd=ROOT)

    def panal(self, process: subprocess.Popen[str], *words: str) -> subprocess.CompletedProcess[str]:
        return self.inside(process, sys.executable, "-m", "panal.command", *words)

    def kubectl(self, process: subprocess.Popen[str], *words: str) -> str:
        return self.inside(process, "kubectl", f"--kubeconfig={self.paths.kubeconfig}", *words).stdout


def end(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str]:
    """Tell process 1; its exit code, and what was said."""
    first = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
    os.kill(first, number)
    said, _ = process.communicate(timeout=15)
    return process.returncode, said


@pytest.fixture
def machine(short_path: Path) -> Machine:
    user = ["--user", "--map-root-user"] if os.geteuid() else []
    kinds = ["--net", "--mount", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run(["unshare", *user, *kinds, "true"]).returncode:
        pytest.skip("this machine allows no such namespaces")
    return Machine(short_path)


def test_a_node_alone_is_well_ends_when_told_to_and_goes_on_in_its_next_life(machine: Machine) -> None:
    process = machine.start()
    try:
        until(lambda: machine.panal(process, "host", "nodo1", "--check").returncode == 0, seconds=40, what="it is well")
        authority = access(machine.paths.kubeconfig).ca
        until(
            lambda: "Running" in machine.kubectl(process, "get", "pod", "hello"), seconds=40, what="its manifest runs"
        )
        uid = machine.kubectl(process, "get", "pod", "hello", "-o", "jsonpath={.metadata.uid}")
        assert (machine.folder / "join" / "join.json").stat().st_mode & 0o777 == 0o600
        until(lambda: "usable" in machine.panal(process, "status").stdout, seconds=20, what="all of it is up")
        began = time.monotonic()
        code, said = end(process)
        assert code == 0, said
        assert time.monotonic() - began < 8
        assert "usable: 1 nodes" in said
        process = machine.start("nodo1", "--grace=5s")
        again = ("get", "pod", "hello", "-o", "jsonpath={.metadata.uid} {..restartCount}")
        until(
            lambda: machine.panal(process, "host", "nodo1", "--check").returncode == 0
            and machine.kubectl(process, *again) == f"{uid} 1",
            seconds=40, what="it is well again, and its pod is the same in its second life",
        )  # fmt: skip
        assert access(machine.paths.kubeconfig).ca == authority
        (machine.folder / "kept" / "ready").unlink()  # of the first life
        until(lambda: (machine.folder / "kept" / "ready").exists(), what="the pod that has last words listens")
        code, said = end(process)
        assert (code, (machine.folder / "kept" / "words").read_text()) == (0, "bye\n"), said
    finally:
        process.kill()
        print(process.communicate()[0])


@pytest.mark.parametrize(
    ("name", "words"),
    [("menchupc", "this machine is not menchupc: it has no address 192.168.0.200"), ("zeus", "no host")],
)
def test_a_machine_that_is_not_the_host_says_so_and_ends_with_1(machine: Machine, name: str, words: str) -> None:
    process = machine.start(name)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert words in said
