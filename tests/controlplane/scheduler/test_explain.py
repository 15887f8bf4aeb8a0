"""Stories of an explanation: every node answers, with the numbers the decision was made on."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import orjson

from panal.controlplane.scheduler.explain import amount, explain, snapshot_of


def by_name(rows: Any) -> dict[str, Any]:
    return {row["name"]: row for row in rows}


def test_a_pod_that_fits_nowhere_is_told_what_each_node_has_and_what_is_committed(
    node: Any, pod: Any, snapshot: Any
) -> None:
    busy = node("a", pod("wp", cpu="3", memory="5Gi"), memory="10Gi")
    tainted = node("b", taints=["dedicated=database:NoSchedule"])
    found = explain(pod("late", cpu="2", memory="3Gi").obj, snapshot(busy, tainted))
    nodes = by_name(found["nodes"])
    fit = by_name(nodes["a"]["filters"])["NodeResourcesFit"]
    assert fit["facts"] == [
        "cpu: the node has 4, 3 committed, the pod asks 2",
        "memory: the node has 10Gi, 5Gi committed, the pod asks 3Gi",
    ]
    assert (fit["passes"], fit["reasons"]) == (False, ["Insufficient cpu"])
    assert by_name(nodes["a"]["resources"])["cpu"] == {
        "name": "cpu", "allocatable": 4000, "committed": 3000, "asked": 2000,
    }  # fmt: skip
    assert by_name(nodes["b"]["filters"])["TaintToleration"]["facts"] == ["taint dedicated=database:NoSchedule"]
    assert by_name(nodes["b"]["filters"])["NodeResourcesFit"]["passes"], "asked although another refused before"
    assert found["message"].startswith("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint")
    assert found["best"] == []


def test_the_points_of_a_node_are_its_scores_times_their_weights(node: Any, pod: Any, snapshot: Any) -> None:
    found = explain(pod("web", cpu="1", memory="1Gi").obj, snapshot(node("empty"), node("full", pod("x", cpu="2"))))
    for row in found["nodes"]:
        assert row["total"] == sum(item["score"] * item["weight"] for item in row["scores"]) > 0
    assert (found["best"], found["message"]) == (["empty"], None)


def test_a_pod_that_has_a_node_is_looked_at_as_if_it_had_none(node: Any, pod: Any) -> None:
    mine = pod("mine", cpu="4", nodeName="a").obj
    found = explain(mine, snapshot_of([node("a").node], [mine], "mine"))
    assert (found["pod"]["node"], found["best"]) == ("a", ["a"])


def test_it_tells_whom_an_important_pod_would_push_out(node: Any, pod: Any, snapshot: Any) -> None:
    found = explain(pod("top", cpu="3", priority=9).obj, snapshot(node("a", pod("low", cpu="3"))))
    assert found["preemption"] == {"node": "a", "victims": ["default/low"]}


def test_as_a_program_it_reads_what_the_api_says(node: Any, pod: Any) -> None:
    asked = {"namespace": "default", "name": "web", "nodes": [node("a").node], "pods": [pod("web", cpu="1").obj]}
    command = [sys.executable, "-m", "panal.controlplane.scheduler.explain"]
    done = subprocess.run(command, input=orjson.dumps(asked), capture_output=True, timeout=60, check=True)
    assert orjson.loads(done.stdout)["best"] == ["a"]
    missing = orjson.dumps({**asked, "name": "other"})
    assert subprocess.run(command, input=missing, capture_output=True, timeout=60).returncode == 3


def test_amounts_are_written_as_people_write_them() -> None:
    assert [amount("cpu", 2500), amount("cpu", 4000), amount("pods", 3)] == ["2.5", "4", "3"]
    assert [amount("memory", 10 << 30), amount("memory", 70 << 20)] == ["10Gi", "70Mi"]


def test_a_claim_that_is_missing_is_told(node: Any, pod: Any) -> None:
    web = pod("web", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]).obj
    asked = {"namespace": "default", "name": "web", "nodes": [node("a").node], "pods": [web]}
    command = [sys.executable, "-m", "panal.controlplane.scheduler.explain"]
    done = subprocess.run(command, input=orjson.dumps(asked), capture_output=True, timeout=60, check=True)
    assert 'persistentvolumeclaim "data" not found' in orjson.loads(done.stdout)["message"]
