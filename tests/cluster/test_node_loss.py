"""A node falls silent, is given up, and comes back."""

from __future__ import annotations

import os
import signal
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
    [lost] = [name for name, node in places(cluster).items() if node == "nodoc"]
    kubelet = cluster.find("kubelet", "nodoc")
    os.kill(kubelet.pid, signal.SIGSTOP)
    try:
        until(lambda: ready(cluster, "nodoc") == "Unknown", seconds=40)
        until(lambda: len(set(places(cluster)) - {lost}) == 4, seconds=20)
        assert lost in places(cluster)  # nobody can tell whether its processes live on
        cluster.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    finally:
        os.kill(kubelet.pid, signal.SIGCONT)
    until(lambda: ready(cluster, "nodoc") == "True", seconds=25)
    until(lambda: lost not in places(cluster), seconds=20)


def places(cluster: Cluster) -> dict[str, str]:
    items = cluster.get("pods", "-l", "app=web")["items"]
    return {item["metadata"]["name"]: item["spec"].get("nodeName", "") for item in items}


def ready(cluster: Cluster, node: str) -> str:
    conditions = cluster.get("node", node)["status"]["conditions"]
    return next(str(item["status"]) for item in conditions if item["type"] == "Ready")
