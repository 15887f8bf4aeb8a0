"""Which pods a node takes that were given to it without the scheduler."""

from __future__ import annotations

from typing import Any

import pytest

from panal.agents.kubelet.admission import Refusal, refusal

NODE = {
    "metadata": {"name": "nodoa", "labels": {"disk": "ssd", "rack": "3"}},
    "spec": {},
    "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "3"}},
}


def asking(pod: Any, cpu: str, **more: Any) -> Any:
    return pod({"name": "web", "resources": {"requests": {"cpu": cpu}}}, **more)


def test_a_pod_that_asks_for_more_than_is_left_is_refused_with_the_figures(pod: Any) -> None:
    assert refusal(asking(pod, "1"), [asking(pod, "3")], NODE) is None
    assert refusal(asking(pod, "1500m"), [asking(pod, "3")], NODE) == Refusal(
        "OutOfcpu", "Node didn't have enough resource: cpu, requested: 1500, used: 3000, capacity: 4000"
    )
    memory = pod({"name": "web", "resources": {"requests": {"memory": "9Gi"}}})
    found = refusal(memory, [], NODE)
    assert found is not None
    assert found.reason == "OutOfmemory"


def test_init_containers_ask_one_after_the_other_and_sidecars_beside_all(pod: Any) -> None:
    big = {"name": "first", "resources": {"requests": {"cpu": "4"}}}
    assert refusal(pod("web", init=(big,)), [], NODE) is None
    side = {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}
    found = refusal(pod("web", init=(side, big)), [], NODE)
    assert found is not None
    assert "requested: 5000" in found.message


def test_a_node_has_room_for_so_many_pods(pod: Any) -> None:
    others = [pod(name) for name in ("a", "b", "c")]
    assert refusal(pod("web"), others[:2], NODE) is None
    found = refusal(pod("web"), others, NODE)
    assert found is not None
    assert found.reason == "OutOfpods"


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ({"nodeSelector": {"disk": "ssd"}}, True),
        ({"nodeSelector": {"disk": "hdd"}}, False),
        ({"key": "rack", "operator": "Gt", "values": ["2"]}, True),
        ({"key": "rack", "operator": "Lt", "values": ["2"]}, False),
        ({"key": "disk", "operator": "NotIn", "values": ["ssd"]}, False),
        ({"key": "gpu", "operator": "DoesNotExist"}, True),
        ({"key": "gpu", "operator": "Exists"}, False),
    ],
)
def test_a_pod_of_another_node_is_refused(pod: Any, spec: dict[str, Any], fits: bool) -> None:
    if "operator" in spec:
        terms = {"nodeSelectorTerms": [{"matchExpressions": [spec]}]}
        spec = {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}
    words = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
    assert refusal(pod("web", **spec), [], NODE) == (None if fits else Refusal("NodeAffinity", words))


def test_ports_of_the_node_are_given_once(pod: Any) -> None:
    def on(port: int, **more: Any) -> Any:
        return pod({"name": "web", "ports": [{"containerPort": 80, "hostPort": port, **more}]})

    assert refusal(on(8080), [on(8081)], NODE) is None
    assert refusal(on(8080, protocol="UDP"), [on(8080)], NODE) is None
    assert refusal(on(8080, hostIP="10.0.0.1"), [on(8080, hostIP="10.0.0.2")], NODE) is None
    found = refusal(on(8080, hostIP="10.0.0.1"), [on(8080)], NODE)
    assert found is not None
    assert found.reason == "NodePorts"


def test_only_taints_that_evict_keep_a_pod_away_and_no_static_one(pod: Any) -> None:
    def tainted(effect: str) -> Any:
        return {**NODE, "spec": {"taints": [{"key": "broken", "value": "yes", "effect": effect}]}}

    assert refusal(pod("web"), [], tainted("NoSchedule")) is None
    found = refusal(pod("web"), [], tainted("NoExecute"))
    assert found is not None
    assert found.reason == "TaintToleration"
    equal = {"key": "broken", "value": "yes", "effect": "NoExecute"}
    assert refusal(pod("web", tolerations=[equal]), [], tainted("NoExecute")) is None
    static = pod("web")
    static["metadata"]["annotations"] = {"kubernetes.io/config.source": "file"}
    assert refusal(static, [], tainted("NoExecute")) is None


def test_a_pod_needs_its_share_of_everything_the_node_counts() -> None:
    node = {"metadata": {}, "status": {"allocatable": {"pods": "110", "ephemeral-storage": "1Gi", "a.b/dongle": "1"}}}

    def asking(**requests: str) -> Any:
        named = {name.replace("_", "-").replace("dongle", "a.b/dongle"): text for name, text in requests.items()}
        return {"metadata": {}, "spec": {"containers": [{"name": "c", "resources": {"requests": named}}]}}

    assert refusal(asking(ephemeral_storage="1Gi", dongle="1"), [], node) is None
    found = refusal(asking(dongle="1"), [asking(dongle="1")], node)
    assert found is not None
    assert (found.reason, found.message) == (
        "OutOfa.b/dongle", "Node didn't have enough resource: a.b/dongle, requested: 1, used: 1, capacity: 1",
    )  # fmt: skip
    found = refusal(asking(ephemeral_storage="2Gi"), [], node)
    assert found is not None
    assert found.reason == "OutOfephemeral-storage"
