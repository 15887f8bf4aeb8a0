"""Stories of autoscalers: load makes replicas and takes them away, as fast as they may, and says why."""

from __future__ import annotations

from typing import Any

import pytest

from panal.controlplane.controllers.podautoscaler import decide
from panal.controlplane.controllers.podautoscaler.behavior import Memory
from panal.controlplane.controllers.podautoscaler.decide import Target

NOW = 1_700_000_000.0
LONG_AGO = "2023-11-14T20:00:00Z"
Object = dict[str, Any]


def cpu(percent: int = 50) -> Object:
    return {"type": "Resource", "resource": {"name": "cpu", "target": utilization(percent)}}


def utilization(percent: int) -> Object:
    return {"type": "Utilization", "averageUtilization": percent}


def hpa(*metrics: Object, **spec: Any) -> Object:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"minReplicas": 1, "maxReplicas": 10, "scaleTargetRef": reference, "metrics": list(metrics), **spec}
    return {"metadata": {"name": "web", "namespace": "default", "generation": 1}, "spec": spec, "status": {}}


def pod(number: int, *, phase: str = "Running", ready: bool = True, request: str = "100m", since: str = "") -> Object:
    containers = [{"name": "c", "resources": {"requests": {"cpu": request, "memory": "100Mi"} if request else {}}}]
    ready_since = {"type": "Ready", "status": str(ready), "lastTransitionTime": since or LONG_AGO}
    status = {"phase": phase, "startTime": since or LONG_AGO, "conditions": [ready_since]}
    return {"metadata": {"name": f"p{number}"}, "spec": {"containers": containers}, "status": status}


def use(number: int, amount: str, memory: str = "50Mi") -> Object:
    return {
        "metadata": {"name": f"p{number}"},
        "timestamp": "2023-11-14T22:13:10Z",
        "window": "15s",
        "containers": [{"name": "c", "usage": {"cpu": amount, "memory": memory}}],
    }


def target(count: int, amount: str) -> Target:
    return Target(count, [pod(n) for n in range(count)], [use(n, amount) for n in range(count)])


class World:
    """A Deployment whose pods each use the same, and its autoscaler over time."""

    def __init__(self, autoscaler: Object, replicas: int) -> None:
        self.hpa, self.replicas, self.now, self.memory = autoscaler, replicas, NOW, Memory()
        self.events: list[tuple[str, str]] = []

    def look(self, found: Target | str) -> int:
        if isinstance(found, str):
            found = target(self.replicas, found)
        plan = decide.plan(self.hpa, found, self.memory, self.now)
        if plan.replicas is not None:
            size = plan.replicas
            plan = decide.scaled(plan, self.memory, self.replicas, self.now)
            self.replicas = size
        self.hpa["status"] = plan.status
        self.events += [(reason, message) for _, reason, message in plan.events]
        self.now += 15
        return self.replicas

    def condition(self, kind: str) -> tuple[str, str]:
        (found,) = [item for item in self.hpa["status"]["conditions"] if item["type"] == kind]
        return found["status"], found["reason"]


def test_load_makes_replicas() -> None:
    world = World(hpa(cpu(50)), 2)
    assert world.look("100m") == 4
    assert world.events == [
        ("SuccessfulRescale", "New size: 4; reason: cpu resource utilization (percentage of request) above target")
    ]
    assert world.condition("AbleToScale") == ("True", "SucceededRescale")
    assert world.condition("ScalingActive") == ("True", "ValidMetricFound")
    assert world.condition("ScalingLimited") == ("False", "DesiredWithinRange")
    status = world.hpa["status"]
    assert (status["currentReplicas"], status["desiredReplicas"]) == (2, 4)
    current = {"averageValue": "100m", "averageUtilization": 100}
    assert status["currentMetrics"] == [{"type": "Resource", "resource": {"name": "cpu", "current": current}}]


def test_a_small_difference_changes_nothing() -> None:
    world = World(hpa(cpu(50)), 4)
    assert world.look("54m") == 4
    assert world.look("46m") == 4
    assert world.look("56m") == 5
    assert World(hpa(cpu(50), behavior={"scaleUp": {"tolerance": "0.3"}}), 4).look("60m") == 4


def test_replicas_are_taken_away_after_five_quiet_minutes() -> None:
    world = World(hpa(cpu(50)), 4)
    world.look("50m")
    sizes = [world.look("5m") for _ in range(25)]
    assert sizes[0] == 4
    assert world.events[-1] == ("SuccessfulRescale", "New size: 1; reason: All metrics below target")
    assert sizes.index(1) == 19, "300 s after the last look that wanted four"


def test_growth_is_limited_to_double_or_four() -> None:
    world = World(hpa(cpu(50), maxReplicas=100), 1)
    assert [world.look("1000m") for _ in range(4)] == [4, 8, 16, 32]
    assert world.condition("ScalingLimited") == ("True", "ScaleUpLimit")


def test_the_maximum_holds_and_says_so() -> None:
    world = World(hpa(cpu(50), maxReplicas=3), 2)
    assert world.look("100m") == 3
    assert world.condition("ScalingLimited") == ("True", "TooManyReplicas")
    assert World(hpa(cpu(50), maxReplicas=3), 5).look("10m") == 3
    assert World(hpa(cpu(50), minReplicas=2), 1).look("10m") == 2


def test_policies_bound_each_period() -> None:
    down = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}
    world = World(hpa(cpu(50), behavior={"scaleDown": down}), 5)
    assert [world.look("5m") for _ in range(9)] == [4, 4, 4, 4, 3, 3, 3, 3, 2]
    up = {"policies": [{"type": "Percent", "value": 50, "periodSeconds": 15}]}
    world = World(hpa(cpu(50), behavior={"scaleUp": up}), 4)
    assert [world.look("1000m") for _ in range(2)] == [6, 9]
    world = World(hpa(cpu(50), behavior={"scaleUp": {"selectPolicy": "Disabled"}}), 4)
    assert world.look("1000m") == 4


def test_growth_can_be_stabilized_too() -> None:
    world = World(hpa(cpu(50), behavior={"scaleUp": {"stabilizationWindowSeconds": 60}}), 2)
    world.look("50m")
    sizes = [world.look("100m") for _ in range(5)]
    assert sizes == [2, 2, 2, 4, 4]
    world.look("400m")
    assert world.condition("AbleToScale")[1] == "ScaleUpStabilized"


def test_what_is_not_measured_damps_the_change() -> None:
    pods = [pod(0), pod(1), pod(2), pod(3)]
    assert World(hpa(cpu(50)), 4).look(Target(4, pods, [use(0, "80m"), use(1, "80m")])) == 4
    starting = [pod(0), pod(1), pod(2, phase="Pending"), pod(3, ready=False, since="2023-11-14T22:13:00Z")]
    usage = [use(0, "90m"), use(1, "90m"), use(3, "900m")]
    assert World(hpa(cpu(50)), 4).look(Target(4, starting, usage)) == 4


def test_memory_by_amount_and_one_container_s_use() -> None:
    amount = {"type": "AverageValue", "averageValue": "25Mi"}
    world = World(hpa({"type": "Resource", "resource": {"name": "memory", "target": amount}}), 2)
    assert world.look("1m") == 4
    assert world.hpa["status"]["currentMetrics"][0]["resource"]["current"] == {"averageValue": "52428800"}
    source = {"name": "cpu", "container": "c", "target": utilization(50)}
    world = World(hpa({"type": "ContainerResource", "containerResource": source}), 2)
    assert world.look("100m") == 4
    assert world.hpa["status"]["currentMetrics"][0]["containerResource"]["container"] == "c"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            Target(1, [pod(0)], problem="unable to fetch metrics from resource metrics API: nobody there"),
            "unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: nobody there",
        ),
        (Target(1, [pod(0, request="")], [use(0, "1m")]), "missing request for cpu in container c of Pod p0"),
        (
            Target(1, [pod(0)], []),
            "unable to get metrics for resource cpu: no metrics returned from resource metrics API",
        ),
        (
            Target(1, [pod(0, phase="Pending")], [use(0, "1m")]),
            "did not receive metrics for targeted pods (pods might be unready)",
        ),
    ],
)
def test_without_a_number_it_says_why(found: Target, said: str) -> None:
    world = World(hpa(cpu()), 1)
    assert world.look(found) == 1
    assert world.condition("ScalingActive") == ("False", "FailedGetResourceMetric")
    message = f"failed to get cpu utilization: {said}"
    assert world.events == [
        ("FailedGetResourceMetric", message),
        ("FailedComputeMetricsReplicas", f"invalid metrics (1 invalid out of 1), first error is: {message}"),
    ]


def test_an_unknown_metric_keeps_from_shrinking_and_not_from_growing() -> None:
    other = {"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": {"type": "AverageValue"}}}
    assert World(hpa(cpu(50), other), 2).look("100m") == 4
    world = World(hpa(cpu(50), other), 4)
    for _ in range(30):
        world.look("1m")
    assert world.replicas == 4
    assert world.condition("ScalingActive") == ("False", "FailedGetPodsMetric")


def test_a_target_of_zero_is_left_alone() -> None:
    world = World(hpa(cpu()), 0)
    assert world.look(Target(0)) == 0
    assert world.condition("ScalingActive") == ("False", "ScalingDisabled")


def test_a_target_that_is_not_there_is_told() -> None:
    plan = decide.no_scale(hpa(), 'deployments.apps "web" not found', NOW)
    assert plan.events == [("Warning", "FailedGetScale", 'deployments.apps "web" not found')]
    (condition,) = plan.status["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("AbleToScale", "False", "FailedGetScale")
