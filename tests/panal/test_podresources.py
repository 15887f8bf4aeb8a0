"""What a pod asks for, as the scheduler counts it."""

from __future__ import annotations

from typing import Any

from panal.podresources import effective


def box(cpu: str, **more: Any) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu}}, **more}


def test_containers_add_up_and_limits_stand_in_for_requests() -> None:
    pod = {"spec": {"containers": [box("100m"), {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}, {}]}}
    assert effective(pod, "requests", "cpu") == 1100
    assert effective(pod, "requests", "memory") == 1 << 30
    assert effective(pod, "limits", "cpu") == 1000


def test_the_largest_init_container_counts_with_the_sidecars_before_it() -> None:
    sidecar = box("200m", restartPolicy="Always")
    pod = {"spec": {"containers": [box("100m")], "initContainers": [box("250m"), sidecar, box("300m")]}}
    assert effective(pod, "requests", "cpu") == 500
    pod["spec"]["initContainers"] = [sidecar]
    assert effective(pod, "requests", "cpu") == 300


def test_overhead_comes_on_top() -> None:
    assert effective({"spec": {"containers": [box("1")], "overhead": {"cpu": "250m"}}}, "requests", "cpu") == 1250
