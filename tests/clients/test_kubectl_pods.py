"""The newest kubectl's verbs that need pods that run; streams are in tests/cluster/test_streams.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from ..cluster import harness
from .objects import deployment
from .programs import everything, program

pytestmark = [pytest.mark.kubectl, pytest.mark.cluster, everything]

Kubectl = Callable[..., str]


@pytest.fixture(scope="module")
def kubectl(cluster: harness.Cluster) -> Iterator[Kubectl]:
    """The newest one, in a namespace of its own."""
    newest = program("kubectl.sid", bring="kubectl")

    def run(*words: str, code: int = 0, stdin: str | None = None) -> str:
        command = [newest, "--context", f"panal-{cluster.name}", "-n", "pods", *words]
        done = cluster.user.run(command, check=False, stdin=stdin, timeout=90)
        assert done.returncode == code, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    run("create", "namespace", "pods")
    made = deployment("web", 2)
    container = made["spec"]["template"]["spec"]["containers"][0]
    container.update(image="busybox", command=["sh", "-c", "echo hello; while :; do sleep 0.2; done"])
    made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 0
    run("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(made))
    run("rollout", "status", "deployment/web", "--timeout=60s")
    yield run
    run("delete", "namespace", "pods", "--timeout=60s")


def test_use_is_measured(kubectl: Kubectl) -> None:
    nodes = kubectl("top", "nodes", "--no-headers").splitlines()
    assert len(nodes) == 4
    assert re.fullmatch(r"nodo1 +\d+m +\d+% +\d+Mi +\d+% *", sorted(nodes)[0])
    rows = harness.until(
        lambda: kubectl("top", "pods", "--containers", "--no-headers", "--sort-by=memory").splitlines()
    )
    assert re.fullmatch(r"web-\S+ +c +\d+m +\d+Mi *", rows[0])


def test_logs_of_several_pods_are_told_apart(kubectl: Kubectl) -> None:
    told = kubectl("logs", "deployment/web", "--all-pods=true", "--prefix", "--timestamps")
    assert len(set(re.findall(r"\[pod/(web-\S+)/c\] \S+Z hello", told))) == 2
    assert kubectl("logs", "-l", "app=web", "--tail=1").splitlines() == ["hello", "hello"]


def test_a_copy_of_a_pod_and_a_node_are_debugged(kubectl: Kubectl) -> None:
    pod = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    kubectl(
        "debug",
        pod,
        "--copy-to=copy",
        "--container=c",
        "--profile=general",
        "--",
        "sh",
        "-c",
        "echo copied; sleep 1000",
    )
    kubectl("wait", "pod/copy", "--for=condition=Ready", "--timeout=30s")
    assert kubectl("logs", "copy", "-c", "c").strip() == "copied"
    kubectl("delete", "pod", "copy", "--now")
    told = kubectl("debug", "node/nodoa", "--image=busybox", "--profile=sysadmin", "--", "true")
    debugger = re.search(r"node-debugger-nodoa-\w+", told)
    assert debugger
    kubectl("wait", f"pod/{debugger[0]}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s")
    kubectl("delete", "pod", debugger[0])


def test_a_pod_is_run_attached_to_and_removed(kubectl: Kubectl) -> None:
    told = kubectl("run", "once", "--image=busybox", "-i", "--rm", "--restart=Never", "--", "cat", stdin="said\n")
    assert "said" in told
    kubectl("wait", "pod/once", "--for=delete", "--timeout=30s")
    kubectl("run", "fails", "--image=busybox", "-i", "--rm", "--restart=Never", "--", "sh", "-c", "exit 3", code=3)


def test_files_are_copied_with_the_newest_tar_flags(kubectl: Kubectl, cluster: harness.Cluster) -> None:
    pod = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    source: Path = cluster.user.home / "in.txt"
    source.write_text("x" * 100_000)
    kubectl("cp", str(source), f"{pod}:/tmp/in.txt")
    kubectl("cp", f"{pod}:/tmp/in.txt", str(cluster.user.home / "out.txt"), "--retries=2")
    assert (cluster.user.home / "out.txt").read_text() == source.read_text()


def test_a_node_is_drained_within_the_budget(kubectl: Kubectl) -> None:
    kubectl("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=1")
    node = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].spec.nodeName}")
    told = kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s",
                   "--pod-selector=app=web")  # fmt: skip
    assert f"node/{node} drained" in told
    kubectl("uncordon", node)
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("rollout", "restart", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert re.search(r"Normal +ScalingReplicaSet +Deployment/web", kubectl("events", "--for=deployment/web"))


def test_the_whole_cluster_is_dumped(kubectl: Kubectl, cluster: harness.Cluster) -> None:
    folder = cluster.user.home / "dump"
    kubectl("cluster-info", "dump", f"--output-directory={folder}", "--namespaces=pods,kube-system")
    assert (folder / "nodes.json").exists()
    logs = next((folder / "pods").glob("web-*/logs.txt")).read_text()
    assert "\nhello\n==== END logs for container c of pod pods/web-" in logs
