"""Every capability of a node is needed: without it a node lacks what docs/compose.md says; with all, nothing lacks."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from company import until
from engine import ROOT, Engine

ADDRESS, SUBNET = "172.30.0.10", "172.30.0.0/24"
NODE: list[str] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["x-node"]["cap_add"]
CLUSTER = f"""\
apiVersion: panal.dev/v1
kind: Cluster
metadata: {{name: one}}
spec:
  lan: {SUBNET}
  nodes: [{{name: n1, address: {ADDRESS}}}]
  hosts: []
  loadBalancer: {{address: 172.30.0.3, addresses: 172.30.0.4-172.30.0.5}}
  externalDNS: {{address: 172.30.0.2}}
  ingress: {{enabled: false}}
"""


def pod(name: str, command: str, image: str = "busybox", **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": image, "command": ["sh", "-c", f"{command}; sleep 1000"]}
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{**container, **mounts}], "volumes": [{"name": "data", "emptyDir": {}}], **spec},
    }  # fmt: skip


PODS = [
    pod(
        "user",
        "touch /data/x && ls -ln /data",
        securityContext={"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000},
    ),
    pod("root", "touch /usr/share/x && echo written", image="debian"),
]


@dataclass
class Node:
    docker: Engine
    id: str
    folder: Path

    def exec(self, *words: str, check: bool = True) -> str:
        return self.docker.docker("exec", self.id, *words, check=check)

    def is_well(self) -> bool:
        return "True" in self.exec("panal", "host", "--check", check=False)

    def kubectl(self, *words: str, check: bool = True) -> str:
        config = self.folder / "kubeconfig"
        if not config.exists():
            config.write_text(self.exec("panal", "kubeconfig"))
        server = f"--server=https://{ADDRESS}:6443"
        return self.docker.on_the_machine("kubectl", f"--kubeconfig={config}", server, *words, check=check)

    def apply(self) -> None:
        file = self.folder / "pods.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": PODS}))
        until(lambda: self.kubectl("apply", "-f", str(file)), seconds=20, what="the pods are taken")

    def said(self, name: str, words: str) -> bool:
        return words in self.kubectl("logs", name)

    def phase(self, name: str) -> str:
        return self.kubectl("get", "pod", name, "--no-headers").split()[2]

    def logs(self) -> str:
        return self.docker.docker_said(self.id)

    def has_ended(self) -> bool:
        return (
            self.docker.docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", self.id).strip() == "exited 1"
        )


@contextlib.contextmanager
def a_node(docker: Engine, without: str) -> Iterator[Node]:
    docker.docker("network", "create", f"--subnet={SUBNET}", "capabilities")
    granted = [f"--cap-add={name}" for name in NODE if name != without]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cluster.yaml").write_text(CLUSTER)
        container = docker.docker(
            "run", "--detach", "--hostname=n1", "--network=capabilities", f"--ip={ADDRESS}", "--cap-drop=ALL", *granted,
            f"--volume={folder}/cluster.yaml:/cluster.yaml:ro", "--env=PANAL_CONFIG=/cluster.yaml", "panal",
        ).strip()  # fmt: skip
        try:
            yield Node(docker, container, Path(folder))
        finally:
            docker.docker("rm", "--force", "--volumes", container)
            docker.docker("network", "rm", "capabilities")


def test_with_all_of_them_nothing_lacks(docker: Engine) -> None:
    with a_node(docker, "") as node:
        until(node.is_well, seconds=40, what="the node is well")
        node.apply()
        until(lambda: node.said("user", " 2000 "), seconds=20, what="fsGroup")
        until(lambda: node.said("root", "written"), seconds=20, what="a copy of the machine's files")
        assert "uid=1000" in node.kubectl("exec", "user", "--", "id")
        node.kubectl("delete", "pod", "user", "--grace-period=1", "--timeout=10s")


@pytest.mark.parametrize(
    ("name", "words"),
    [("SYS_ADMIN", "refuses mounts of the node's own"), ("NET_ADMIN", "can't forward its pods' packets")],
)
def test_without_these_a_node_refuses_to_start(docker: Engine, name: str, words: str) -> None:
    with a_node(docker, name) as node:
        until(node.has_ended, seconds=30, what="it ends with 1")
        assert words in node.logs()


@pytest.mark.parametrize("name", ["SYS_CHROOT", "SETPCAP", "SETGID"])
def test_without_these_no_pod_starts(docker: Engine, name: str) -> None:
    with a_node(docker, name) as node:
        records = "cat /var/lib/panal/clusters/one/nodes/n1/runtime/containers/*/container.json"
        until(lambda: "not permitted" in node.exec("sh", "-c", records, check=False), seconds=30, what="refused pods")
        assert not node.is_well()


@pytest.mark.parametrize("name", ["SETUID", "DAC_OVERRIDE", "CHOWN", "KILL", "SYS_PTRACE"])
def test_without_these_pods_lack_something(docker: Engine, name: str) -> None:
    with a_node(docker, name) as node:
        until(node.is_well, seconds=40, what="the node is well")
        node.apply()
        if name == "DAC_OVERRIDE":
            until(lambda: node.said("root", "Read-only file system"), seconds=20, what="no overlay")
            return
        until(lambda: node.said("root", "written"), seconds=20, what="a pod of root is well")
        if name == "SETUID":
            until(lambda: node.phase("user") not in ("Running", "Pending"), seconds=20, what="runAsUser is refused")
            return
        until(lambda: node.phase("user") == "Running", seconds=20, what="a pod with runAsUser runs")
        if name == "CHOWN":
            until(lambda: node.said("user", " 1000 0 "), seconds=10, what="no fsGroup")
        elif name == "SYS_PTRACE":
            with pytest.raises(AssertionError, match=r"Permission denied|not permitted"):
                node.kubectl("exec", "user", "--", "id")
        else:
            with pytest.raises((AssertionError, subprocess.TimeoutExpired)):
                node.kubectl("delete", "pod", "user", "--grace-period=1", "--timeout=6s")
