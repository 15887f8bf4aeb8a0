"""A node falls silent, is given up, and comes back; meanwhile the pages are asked for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import harness
import pytest
from harness import Cluster, Variant, until

pytestmark = pytest.mark.skipif(not os.environ.get("PANAL_TEST_ALL"), reason="PANAL_TEST_ALL=1: it waits 12 s twice")

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      tolerations:
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway,
         labelSelector: {matchLabels: {app: web}}}
      terminationGracePeriodSeconds: 1
      containers:
      - {name: web, image: agnhost, args: [netexec, --udp-port=-1]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"""


def test_a_silent_nodes_pods_are_replaced_and_removed_when_it_is_back(tmp_path: Path) -> None:
    kind = "root" if os.geteuid() == 0 else "ordinary"
    text = (harness.ROOT / "examples" / "miempresa" / "cluster.yaml").read_text()
    configuration = Path(f"/tmp/panal-node-loss-{os.getpid()}.yaml")
    configuration.write_text(text.replace("spec:\n", "spec:\n  nodeMonitorGracePeriod: 12s\n", 1))
    try:
        with harness.a_cluster(Variant(kind, "netns", "netfilter"), "loss", "--config", str(configuration)) as cluster:
            play(cluster)
    finally:
        configuration.unlink()


def play(cluster: Cluster) -> None:
    cluster.apply(WEB)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    address = until(lambda: cluster.get("service", "web")["status"]["loadBalancer"]["ingress"][0]["ip"])
    page = ("curl", "-s", f"http://{address}/hostname")
    until(lambda: cluster.exec_on("menchupc", *page, check=False).startswith("web-"))
    load = asking(cluster, str(address), 12)
    lost = {name for name, node in places(cluster).items() if node == "nodoc"}
    assert lost
    kubelet = cluster.find("kubelet", "nodoc")
    os.kill(kubelet.pid, signal.SIGSTOP)
    try:
        until(lambda: ready(cluster, "nodoc") == "Unknown", seconds=40)
        until(lambda: len(set(places(cluster)) - lost) == 4, seconds=20)
        assert lost <= set(places(cluster))  # nobody can tell whether its processes live on
        cluster.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
        told = json.loads(load.communicate(timeout=60)[0])
        assert told["failed"] == 0, told  # the silent node's pods served on, and left the Service in order
        assert told["requests"] > 100, told
    finally:
        os.kill(kubelet.pid, signal.SIGCONT)
    until(lambda: ready(cluster, "nodoc") == "True", seconds=25)
    until(lambda: not lost & set(places(cluster)), seconds=20)


def asking(cluster: Cluster, address: str, seconds: float) -> subprocess.Popen[bytes]:
    """Four clients on MenchuPC that ask for the page without end."""
    script = str(harness.ROOT / "tests" / "cluster" / "load.py")
    ask = ["shell", "--name", cluster.name, "menchupc", "--", "python3", script]
    words = [sys.executable, "-m", "panal.command", *ask, str(seconds), "4", address, "web"]
    return subprocess.Popen(
        cluster.user.command(words), env=cluster.user.env(), cwd=harness.ROOT, stdout=subprocess.PIPE
    )


def places(cluster: Cluster) -> dict[str, str]:
    items = cluster.get("pods", "-l", "app=web")["items"]
    return {item["metadata"]["name"]: item["spec"].get("nodeName", "") for item in items}


def ready(cluster: Cluster, node: str) -> str:
    conditions = cluster.get("node", node)["status"]["conditions"]
    return next(str(item["status"]) for item in conditions if item["type"] == "Ready")
