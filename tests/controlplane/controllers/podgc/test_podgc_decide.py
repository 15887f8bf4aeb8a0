from __future__ import annotations

from typing import Any

from panal.controlplane.controllers.podgc import decide


def pod(name: str, node: str = "", phase: str = "Running", **meta: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **meta}, "spec": {"nodeName": node}, "status": {"phase": phase}}


def test_a_pod_of_a_vanished_node_is_an_orphan() -> None:
    assert decide.is_orphan(pod("x", "gone"), {"a"})
    assert not decide.is_orphan(pod("x", "a"), {"a"})
    assert not decide.is_orphan(pod("x"), {"a"})


def test_a_pod_deleted_before_it_was_bound_has_nobody_to_confirm_it() -> None:
    assert decide.is_stillborn(pod("x", deletionTimestamp="now"))
    assert not decide.is_stillborn(pod("x", "a", deletionTimestamp="now"))


def test_the_oldest_finished_pods_go_beyond_the_limit() -> None:
    finished = [pod(f"p{day}", phase="Succeeded", creationTimestamp=f"2023-11-{day:02d}") for day in (3, 1, 2)]
    found = decide.too_many_finished([*finished, pod("running")], limit=2)
    assert [item["metadata"]["name"] for item in found] == ["p1"]


def test_an_orphan_is_failed_before_it_is_deleted() -> None:
    wanted = decide.failed(pod("x", "gone"), 1_700_000_000.0)
    assert wanted["phase"] == "Failed"
    assert wanted["conditions"][0]["reason"] == "DeletionByPodGC"
