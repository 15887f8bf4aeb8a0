"""A node that shuts down: who ends when. What a real kubelet does of it is in test_live."""

from __future__ import annotations

from typing import Any

from panal.agents.kubelet.shutdown import plan


def test_critical_pods_end_after_the_others_and_have_a_third_of_the_time() -> None:
    def one(uid: str, priority: int | None) -> Any:
        return {"metadata": {"name": uid, "namespace": "default", "uid": uid}, "spec": {"priority": priority}}

    pods = [one("dns", 2_000_000_000), one("web", None), one("database", 1000), one("proxy", 2_000_001_000)]
    assert plan(pods, 30.0) == [(20.0, ["web", "database"]), (10.0, ["dns", "proxy"])]
    assert plan(pods[1:3], 30.0) == [(20.0, ["web", "database"])]
    assert plan([], 30.0) == []
