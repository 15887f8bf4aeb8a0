"""The real kubectl, no flags added, through its everyday verbs."""

from __future__ import annotations

import subprocess
import time

from harness import Cluster, until

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: busybox
        command: [sh, -c, "while :; do echo tick; sleep 0.2; done"]
"""


def test_a_deployment_through_its_whole_life(cluster: Cluster) -> None:
    assert cluster.apply(WEB) == "deployment.apps/web created\n"
    assert cluster.apply(WEB) == "deployment.apps/web unchanged\n"
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    row = cluster.kubectl("get", "deployment", "web", "--no-headers").split()
    assert row[:4] == ["web", "2/2", "2", "2"]
    cluster.kubectl("scale", "deployment", "web", "--replicas=3")
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert cluster.kubectl("label", "deployment", "web", "tier=front") == "deployment.apps/web labeled\n"
    assert "web" in cluster.kubectl("get", "deployments", "-l", "tier in (front)")
    cluster.kubectl("set", "env", "deployment/web", "NEW=1")
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert "2" in cluster.kubectl("rollout", "history", "deployment/web")
    cluster.kubectl("rollout", "undo", "deployment/web")
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    described = cluster.kubectl("describe", "deployment", "web")
    assert "ScalingReplicaSet" in described
    assert cluster.kubectl("delete", "deployment", "web", "--timeout=30s") == 'deployment.apps "web" deleted\n'
    until(lambda: cluster.get("pods", "-l", "app=web")["items"] == [], what="the pods collected")


def test_logs_follow_what_the_container_prints(cluster: Cluster) -> None:
    cluster.apply(WEB)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    pod = cluster.get("pods", "-l", "app=web")["items"][0]["metadata"]["name"]
    follow = subprocess.Popen(
        cluster.user.command(["kubectl", "--context", "panal-lab", "logs", "-f", pod, "--tail=1"]),
        env=cluster.user.env(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert follow.stdout is not None
        start = time.monotonic()
        assert [follow.stdout.readline() for _ in range(6)] == ["tick\n"] * 6
        assert time.monotonic() - start > 0.5
    finally:
        follow.kill()
        follow.communicate()
    cluster.kubectl("delete", "deployment", "web", "--timeout=30s")


def test_watch_shows_changes_as_they_come(cluster: Cluster) -> None:
    watch = subprocess.Popen(
        cluster.user.command(["kubectl", "--context", "panal-lab", "get", "configmaps", "-w", "-o", "name"]),
        env=cluster.user.env(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert watch.stdout is not None
        assert watch.stdout.readline() == "configmap/kube-root-ca.crt\n"
        cluster.kubectl("create", "configmap", "seen", "--from-literal=a=b")
        assert watch.stdout.readline() == "configmap/seen\n"
    finally:
        watch.kill()
        watch.communicate()
        cluster.kubectl("delete", "configmap", "seen")


def test_explain_and_api_resources_know_every_kind(cluster: Cluster) -> None:
    explained = cluster.kubectl("explain", "deployment.spec.strategy.rollingUpdate")
    assert "maxSurge" in explained
    names = cluster.kubectl("api-resources", "-o", "name").split()
    assert {"pods", "deployments.apps", "ingresses.networking.k8s.io", "leases.coordination.k8s.io"} <= set(names)
    assert len(names) >= 50


def test_describe_node_lists_what_is_committed(cluster: Cluster) -> None:
    described = cluster.kubectl("describe", "node", "nodo1")
    assert "kube-apiserver-nodo1" in described
    assert "Allocated resources" in described
    assert "Ready" in described


def test_a_namespace_goes_with_all_it_holds(cluster: Cluster) -> None:
    cluster.kubectl("create", "namespace", "short")
    until(lambda: cluster.get("serviceaccount", "default", "-n", "short"))
    ends_when_told = "trap exit TERM; sleep 1000 & wait"  # a bare `sleep` is process 1 and ignores SIGTERM for 30 s
    cluster.kubectl(
        "create", "deployment", "inside", "--image=busybox", "-n", "short", "--", "sh", "-c", ends_when_told
    )  # fmt: skip
    cluster.kubectl("rollout", "status", "deployment/inside", "-n", "short", "--timeout=30s")
    cluster.kubectl("delete", "namespace", "short", "--timeout=60s")
    assert "NotFound" in cluster.kubectl("get", "namespace", "short", check=False)


def test_mistakes_are_answered_in_kubernetes_words(cluster: Cluster) -> None:
    assert 'Error from server (NotFound): pods "nobody" not found' in cluster.kubectl(
        "get", "pod", "nobody", check=False
    )
    bad = cluster.user.run(
        ["kubectl", "--context", "panal-lab", "apply", "-f", "-"],
        stdin="apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec: {containers: [{name: x, imag: y}]}\n",
        check=False,
    )
    assert 'unknown field "spec.containers[0].imag"' in bad.stderr
    twice = cluster.kubectl("create", "namespace", "default", check=False)
    assert 'namespaces "default" already exists' in twice


def test_who_may_do_what(cluster: Cluster) -> None:
    assert cluster.kubectl("auth", "can-i", "delete", "nodes").strip() == "yes"
    somebody = ("--as=jane", "--as-group=developers")
    assert cluster.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo}", *somebody) == (
        '{"groups":["developers","system:authenticated"],"username":"jane"}'
    )
    refused = cluster.kubectl("delete", "pod", "any", *somebody, check=False)
    assert 'pods "any" is forbidden: User "jane" cannot delete resource "pods"' in refused
    answer = cluster.kubectl(
        "auth", "can-i", "list", "secrets", "--as=system:serviceaccount:default:default", check=False
    )
    assert answer.strip().startswith("no")
