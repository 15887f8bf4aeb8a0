from __future__ import annotations

from typing import Any

from panal.controlplane.controllers.quota.decide import counted, used


def quota(*hard: str, **spec: Any) -> dict[str, Any]:
    return {"spec": {"hard": dict.fromkeys(hard, "10"), **spec}}


def pod(phase: str = "Running", requests: Any = None, limits: Any = None, **spec: Any) -> dict[str, Any]:
    resources = {"requests": requests or {}, "limits": limits or {}}
    return {"spec": {"containers": [{"resources": resources}], **spec}, "status": {"phase": phase}}


def test_pods_and_their_requests_add_up_until_they_end() -> None:
    pods = [
        pod(requests={"cpu": "250m", "memory": "1Gi"}, limits={"cpu": "1"}),
        pod(requests={"cpu": "250m"}),
        pod("Succeeded", requests={"cpu": "4"}),
    ]
    assert used(quota("pods", "cpu", "requests.memory", "limits.cpu"), pods, {}) == {
        "pods": "2",
        "cpu": "500m",
        "requests.memory": "1Gi",
        "limits.cpu": "1",
    }


def test_a_big_init_container_counts_instead() -> None:
    starting = pod(requests={"cpu": "1"}, initContainers=[{"resources": {"requests": {"cpu": "3"}}}])
    assert used(quota("requests.cpu"), [starting], {}) == {"requests.cpu": "3"}


def test_objects_are_counted_by_either_name() -> None:
    assert counted("count/deployments.apps") == ("apps", "deployments")
    assert counted("configmaps") == ("", "configmaps")
    assert counted("requests.cpu") is None
    services = [{"spec": {"type": "NodePort", "ports": [{"nodePort": 30000}, {"nodePort": 30001}]}}, {"spec": {}}]
    objects = {"services": services, "services.nodeports": services, "services.loadbalancers": services}
    assert used(quota(*objects), [], objects) == {
        "services": "2",
        "services.nodeports": "2",
        "services.loadbalancers": "0",
    }


def test_scopes_choose_the_pods() -> None:
    pods = [pod(), pod(requests={"cpu": "1"}), pod(priorityClassName="high")]
    assert used(quota("pods", scopes=["BestEffort"]), pods, {}) == {"pods": "2"}
    assert used(quota("pods", scopes=["NotBestEffort"]), pods, {}) == {"pods": "1"}
    expression = {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}
    assert used(quota("pods", scopeSelector={"matchExpressions": [expression]}), pods, {}) == {"pods": "1"}
