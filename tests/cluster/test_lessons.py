"""The lessons of examples/, each run as its README says, all on one cluster; on every network with PANAL_TEST_ALL=1."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import harness
import orjson
import pytest
from harness import Cluster, until

LESSONS = harness.ROOT / "examples"
VARIANTS = harness.variants() if os.environ.get("PANAL_TEST_ALL") else harness.variants()[:1]


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Two nodes of 4 cpu and 10Gi, and one for the control plane."""
    found: harness.Variant = request.param
    turn = harness.loopback_turn() if found.network == "loopback" else contextlib.nullcontext()
    configuration = str(LESSONS / "resources" / "cluster.yaml")
    with turn, harness.a_cluster(found, "lessons", "--config", configuration) as cluster:
        yield cluster


@contextlib.contextmanager
def lesson(cluster: Cluster, name: str) -> Iterator[None]:
    """The manifests of a lesson, which bring a namespace of its name; nothing of them stays."""
    cluster.kubectl("apply", "-f", str(LESSONS / name))
    try:
        yield
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def placed(cluster: Cluster, *arguments: str) -> dict[str, list[str | None]]:
    """app -> the nodes of its pods that are not leaving."""
    found: dict[str, list[str | None]] = {}
    for pod in cluster.get("pods", *arguments)["items"]:
        if "deletionTimestamp" not in pod["metadata"]:
            found.setdefault(pod["metadata"]["labels"]["app"], []).append(pod["spec"].get("nodeName"))
    return {app: sorted(nodes, key=str) for app, nodes in found.items()}


def refused(cluster: Cluster, name: str) -> list[str]:
    said = cluster.kubectl("apply", "-f", str(LESSONS / name / "refused"), check=False)
    return [line.partition(" is forbidden: ")[2] for line in said.splitlines() if "(Forbidden)" in line]


def explained(cluster: Cluster, pod: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(cluster.panal("schedule", "--explain", pod, "-o", "json").stdout)
    return found


def test_requests_decide_who_lands_where_and_what_nobody_uses_nobody_else_can_have(cluster: Cluster) -> None:
    for name in ("10-wp", "20-mariadb", "30-nginx"):
        cluster.kubectl("apply", "-f", str(LESSONS / "resources" / f"{name}.yaml"))
        pod = name.partition("-")[2]
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=30s")
    nodes = placed(cluster)
    assert nodes["mariadb"] == nodes["nginx"] != nodes["wp"]
    with_wp, other = nodes["wp"][0], nodes["nginx"][0]
    cluster.kubectl("apply", "-f", str(LESSONS / "resources" / "later"))
    late = until(lambda: (found := explained(cluster, "latecomer"))["best"] == [] and found)
    facts = {
        node["name"]: next(item for item in node["filters"] if item["name"] == "NodeResourcesFit")
        for node in late["nodes"]
    }
    assert facts[with_wp]["reasons"] == ["Insufficient cpu"]
    assert facts[with_wp]["facts"][0] == "cpu: the node has 4, 3 committed, the pod asks 2"
    assert facts[other]["reasons"] == ["Insufficient memory"]
    assert facts[other]["facts"][1] == "memory: the node has 10Gi, 8Gi committed, the pod asks 3Gi"
    shown = cluster.panal("schedule", "--explain", "latecomer").stdout
    assert "cpu: the node has 4, 3 committed, the pod asks 2" in shown
    said = until(lambda: cluster.get("events", "--field-selector", "reason=FailedScheduling")["items"])
    assert said[0]["message"] == late["message"]
    cluster.kubectl("delete", "pod", "nginx")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/latecomer", "--timeout=30s")
    assert placed(cluster)["latecomer"] == [other]
    assert "no pod called 'nginx'" in cluster.panal("schedule", "--explain", "nginx", check=False).stderr
    cluster.kubectl("delete", "pod", "--all", "--wait=false")


def test_a_limitrange_fills_in_and_refuses(cluster: Cluster) -> None:
    with lesson(cluster, "limitrange"):
        assert cluster.get("pod", "modest", "-n", "limitrange")["spec"]["containers"][0]["resources"] == {
            "limits": {"cpu": "200m", "memory": "128Mi"},
            "requests": {"cpu": "100m", "memory": "64Mi"},
        }
        assert refused(cluster, "limitrange") == [
            "maximum cpu usage per Container is 1, but limit is 2",
            "minimum cpu usage per Container is 50m, but request is 10m",
        ]


def test_a_quota_caps_the_sum_of_a_namespace(cluster: Cluster) -> None:
    at = ("-n", "resourcequota")
    with lesson(cluster, "resourcequota"):
        cluster.kubectl("rollout", "status", "deployment/web", *at, "--timeout=30s")
        cluster.kubectl("scale", "deployment", "web", *at, "--replicas=3")
        said = until(lambda: cluster.get("events", *at, "--field-selector", "reason=FailedCreate")["items"])
        assert said[0]["message"].endswith(
            "is forbidden: exceeded quota: budget, requested: requests.cpu=200m, used: requests.cpu=400m, "
            "limited: requests.cpu=500m"
        )
        until(lambda: cluster.get("quota", "budget", *at)["status"]["used"]["requests.cpu"] == "400m")
        assert len(cluster.get("pods", *at)["items"]) == 2
        words = "failed quota: budget: must specify requests.cpu for: silent; requests.memory for: silent"
        assert refused(cluster, "resourcequota") == [words]


def test_affinity_puts_together_and_keeps_apart(cluster: Cluster) -> None:
    cluster.kubectl("label", "node", "nodoa", "disk=ssd")
    at = ("-n", "affinity")
    try:
        with lesson(cluster, "affinity"):
            wanted = {"cache": ["nodoa", "nodoa"], "database": ["nodoa"], "web": [None, "nodoa", "nodob"]}
            until(lambda: placed(cluster, *at) == wanted, what="everyone in their place")
            until(
                lambda: any(
                    "2 node(s) didn't match pod anti-affinity rules" in event["message"]
                    for event in cluster.get("events", *at, "--field-selector", "reason=FailedScheduling")["items"]
                )
            )
    finally:
        cluster.kubectl("label", "node", "nodoa", "disk-")


def test_a_taint_keeps_off_and_a_toleration_lets_on(cluster: Cluster) -> None:
    at = ("-n", "tolerations")
    cluster.kubectl("taint", "node", "nodob", "dedicated=database:NoSchedule")
    cluster.kubectl("label", "node", "nodob", "dedicated=database")
    try:
        with lesson(cluster, "tolerations"):
            both = {"database": ["nodob"], "web": ["nodoa"] * 3}
            until(lambda: placed(cluster, *at) == both)
            cluster.kubectl("taint", "node", "nodoa", "maintenance=now:NoExecute")
            until(lambda: placed(cluster, *at) == {"database": ["nodob"], "web": [None] * 3})
            cluster.kubectl("taint", "node", "nodoa", "maintenance-")
            until(lambda: placed(cluster, *at) == both)
    finally:
        cluster.kubectl("taint", "node", "nodoa", "maintenance-", check=False)
        cluster.kubectl("taint", "node", "nodob", "dedicated-")
        cluster.kubectl("label", "node", "nodob", "dedicated-")
