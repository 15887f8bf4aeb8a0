"""The table of `panal capacity`, from what the API tells."""

from __future__ import annotations

from typing import Any

from panal.command import capacity


def node(name: str, ready: str = "True") -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready}]
    status = {"conditions": conditions, "allocatable": {"cpu": "4", "memory": "1Gi"}}
    return {"metadata": {"name": name}, "status": status}


def pod(name: str, where: str, phase: str = "Running") -> dict[str, Any]:
    requests = {"resources": {"requests": {"cpu": "500m", "memory": "256Mi"}}}
    spec = {"nodeName": where, "containers": [requests]}
    return {"metadata": {"namespace": "default", "name": name}, "spec": spec, "status": {"phase": phase}}


USED = [{"metadata": {"name": "a"}, "usage": {"cpu": "1500000000n", "memory": "524288Ki"}}]
POD_USED = [
    {
        "metadata": {"namespace": "default", "name": "web"},
        "containers": [{"usage": {"cpu": "250000000n", "memory": "10240Ki"}}] * 2,
    }
]
ROWS = capacity.tabulate(
    [node("b", "Unknown"), node("a")],
    [pod("web", "a"), pod("done", "a", "Succeeded"), pod("waiting", "", "Pending")],
    USED,
    POD_USED,
)


def test_a_nodes_pods_stand_below_it_and_the_cluster_at_the_end() -> None:
    assert capacity.lines(ROWS) == [
        ["a", "4000m", "500m", "3500m", "1500m", "1024Mi", "256Mi", "768Mi", "512Mi"],
        ["  default/web", "", "500m", "", "500m", "", "256Mi", "", "20Mi"],
        ["b (NotReady)", "4000m", "0m", "4000m", "", "1024Mi", "0Mi", "1024Mi", ""],
        ["all nodes", "8000m", "500m", "7500m", "1500m", "2048Mi", "256Mi", "1792Mi", "512Mi"],
    ]


def test_the_document_says_the_same_in_numbers() -> None:
    first, second = capacity.document(ROWS)["nodes"]
    assert first["uncommitted"] == {"cpu": 3500, "memory": 768 << 20}
    assert first["pods"][0]["used"] == {"cpu": 500, "memory": 20 << 20}
    assert (second["ready"], second["used"]) == (False, None)
