"""Stories of Jobs with policies: which failures count, which indexes are given up, when enough has succeeded."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panal.controlplane.controllers.job import decide
from panal.controlplane.controllers.job.policy import FAILURES

NOW = 1_700_000_000.0
Object = dict[str, Any]


def job(**spec: Any) -> Object:
    template = {"spec": {"containers": [{"name": "c"}], "restartPolicy": "Never"}}
    spec = {"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": template, **spec}
    return {"metadata": {"name": "sum", "namespace": "default", "uid": "j"}, "spec": spec, "status": {}}


class World:
    """The Job's pods as a cluster would keep them; `look` is one reconcile."""

    def __init__(self, owner: Object) -> None:
        self.job, self.pods, self.now, self.made = owner, {}, NOW, 0
        self.events: list[str] = []

    def look(self) -> decide.Plan:
        pods = list(self.pods.values())
        plan = decide.plan(copy.deepcopy(self.job), pods, self.now)
        self.job["status"] = plan.status
        if plan.event:
            self.events.append(plan.event[1])
        before = [(index, decide.replaced(self.job, pods, index)) for index in plan.create]
        for pod in plan.release:
            pod["metadata"]["finalizers"] = []
        for index, replaced in before:
            made = decide.new_pod(self.job, index, replaced)
            own = f"p{self.made}"
            self.made += 1
            created = decide.timestamp(self.now)
            made["metadata"].update(name=own, uid=own, creationTimestamp=created)
            made["status"] = {"phase": "Running"}
            self.pods[own] = made
        for pod in plan.delete:
            pod["metadata"]["deletionTimestamp"] = decide.timestamp(self.now)
        return plan

    def fail(self, name: str, code: int = 1, condition: str = "") -> None:
        ended = {"exitCode": code, "finishedAt": decide.timestamp(self.now)}
        found: Object = {"phase": "Failed", "containerStatuses": [{"name": "c", "state": {"terminated": ended}}]}
        if condition:
            found["conditions"] = [{"type": condition, "status": "True"}]
        self.pods[name]["status"] = found

    def succeed(self, name: str) -> None:
        self.pods[name]["status"] = {"phase": "Succeeded"}

    def settle(self) -> None:
        for _ in range(8):
            for own in [own for own, pod in self.pods.items() if pod["metadata"].get("deletionTimestamp")]:
                if not self.pods[own]["metadata"]["finalizers"]:
                    del self.pods[own]
            self.look()

    def last(self) -> Object:
        return self.job["status"]["conditions"][-1]  # type: ignore[no-any-return]


def rule(action: str, **what: Any) -> Object:
    return {"podFailurePolicy": {"rules": [{"action": action, **what}]}, "backoffLimit": 0}


def test_an_exit_code_can_fail_the_whole_job_at_once() -> None:
    spec = rule("FailJob", onExitCodes={"operator": "In", "values": [42]})
    world = World(job(**{**spec, "backoffLimit": 6, "parallelism": 2, "completions": 2}))
    world.look()
    world.fail("p0", 42)
    world.settle()
    assert world.last()["reason"] == "PodFailurePolicy"
    (failed,) = [item for item in world.job["status"]["conditions"] if item["type"] == "FailureTarget"]
    assert failed["message"] == (
        "Container c for pod default/p0 failed with exit code 42 matching FailJob rule at index 0"
    )
    assert set(world.pods) == {"p0"}, "the other pod is stopped"


def test_a_disruption_can_be_ignored() -> None:
    world = World(job(**rule("Ignore", onPodConditions=[{"type": "DisruptionTarget", "status": "True"}])))
    world.look()
    world.fail("p0", 137, "DisruptionTarget")
    world.settle()
    assert world.job["status"].get("failed", 0) == 0
    assert world.pods["p0"]["metadata"]["finalizers"] == []
    world.now += 10
    world.look()
    assert "p1" in world.pods
    world.fail("p1", 1)
    world.settle()
    assert world.last()["type"] == "Failed"
    assert world.last()["reason"] == "BackoffLimitExceeded"


@pytest.mark.parametrize(("operator", "code", "ends"), [("In", 3, True), ("In", 4, False), ("NotIn", 4, True)])
def test_exit_codes_match_in_and_out_of_a_set(operator: str, code: int, ends: bool) -> None:
    world = World(job(**{**rule("FailJob", onExitCodes={"operator": operator, "values": [3]}), "backoffLimit": 5}))
    world.look()
    world.fail("p0", code)
    world.settle()
    assert (decide.finished(world.job) == "Failed") is ends


def indexed(completions: int, **spec: Any) -> Object:
    most = 2**31 - 1
    return job(completionMode="Indexed", completions=completions, parallelism=completions, backoffLimit=most, **spec)


def test_each_index_has_failures_of_its_own() -> None:
    world = World(indexed(2, backoffLimitPerIndex=1))
    world.look()
    world.fail("p0")
    plan = world.look()
    assert plan.again == 10.0
    assert world.pods["p0"]["metadata"]["finalizers"], "kept until its successor has its count"
    world.now += 10
    world.look()
    assert world.pods["p2"]["metadata"]["annotations"][FAILURES] == "1"
    world.fail("p2")
    world.settle()
    assert world.job["status"]["failedIndexes"] == "0"
    assert decide.finished(world.job) is None, "the other index goes on"
    world.succeed("p1")
    world.settle()
    assert (world.last()["type"], world.last()["reason"]) == ("Failed", "FailedIndexes")
    assert world.job["status"]["completedIndexes"] == "1"
    assert world.job["status"]["failed"] == 2


def test_too_many_failed_indexes_end_the_job() -> None:
    world = World(indexed(4, backoffLimitPerIndex=0, maxFailedIndexes=1))
    world.look()
    world.fail("p0")
    world.settle()
    assert decide.finished(world.job) is None
    world.fail("p1")
    world.settle()
    assert world.last()["reason"] == "MaxFailedIndexesExceeded"


def test_an_index_can_be_failed_by_its_exit_code() -> None:
    found = rule("FailIndex", onExitCodes={"operator": "In", "values": [42]})
    world = World(indexed(2, backoffLimitPerIndex=5, podFailurePolicy=found["podFailurePolicy"]))
    world.look()
    world.fail("p1", 42)
    world.settle()
    assert world.job["status"]["failedIndexes"] == "1"


def test_the_leader_s_success_is_enough() -> None:
    world = World(indexed(3, successPolicy={"rules": [{"succeededIndexes": "0"}]}))
    world.look()
    world.succeed("p0")
    world.settle()
    assert (world.last()["type"], world.last()["reason"]) == ("Complete", "SuccessPolicy")
    assert world.last()["message"] == "Matched rules at index 0"
    assert set(world.pods) == {"p0"}


def test_a_count_of_successes_is_enough() -> None:
    world = World(indexed(4, successPolicy={"rules": [{"succeededCount": 2, "succeededIndexes": "1-3"}]}))
    world.look()
    world.succeed("p0")
    world.succeed("p1")
    world.settle()
    assert decide.finished(world.job) is None
    world.succeed("p3")
    world.settle()
    assert decide.finished(world.job) == "Complete"


@pytest.mark.parametrize(("policy", "made"), [("TerminatingOrFailed", 2), ("Failed", 1)])
def test_a_leaving_pod_is_replaced_at_once_or_when_it_has_ended(policy: str, made: int) -> None:
    world = World(job(podReplacementPolicy=policy))
    world.look()
    world.pods["p0"]["metadata"]["deletionTimestamp"] = decide.timestamp(NOW - 60)
    world.look()
    assert world.made == made
    assert world.job["status"]["terminating"] == 1
    world.fail("p0")
    world.now += 60
    world.settle()
    assert world.made == 2


def test_a_resumed_job_starts_anew() -> None:
    world = World(job(suspend=True, activeDeadlineSeconds=60))
    world.look()
    assert "startTime" not in world.job["status"]
    assert world.made == 0
    world.job["spec"]["suspend"] = False
    world.now += 100
    world.look()
    assert world.job["status"]["startTime"] == decide.timestamp(NOW + 100)
    assert world.last() | {"lastProbeTime": "", "lastTransitionTime": ""} == {
        "type": "Suspended",
        "status": "False",
        "reason": "JobResumed",
        "message": "Job resumed",
        "lastProbeTime": "",
        "lastTransitionTime": "",
    }
    assert world.events == ["Suspended", "Resumed"]


def test_a_job_of_another_manager_is_left_alone() -> None:
    assert decide.is_ours(job())
    assert decide.is_ours(job(managedBy="kubernetes.io/job-controller"))
    assert not decide.is_ours(job(managedBy="kueue.example.com/job"))


def test_an_indexed_job_can_shrink_and_grow() -> None:
    world = World(indexed(3))
    world.look()
    world.succeed("p2")
    world.look()
    world.job["spec"].update(completions=2, parallelism=2)
    world.look()
    assert "completedIndexes" not in world.job["status"]
    world.succeed("p0")
    world.succeed("p1")
    world.settle()
    assert decide.finished(world.job) == "Complete"
    assert world.job["status"]["completedIndexes"] == "0,1"


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    completions=st.integers(1, 5),
    parallelism=st.integers(1, 5),
    mode=st.sampled_from(["NonIndexed", "Indexed", "PerIndex"]),
    policy=st.sampled_from(["TerminatingOrFailed", "Failed"]),
)
def test_whatever_happens_each_pod_is_counted_once(
    seed: int, completions: int, parallelism: int, mode: str, policy: str
) -> None:
    rng = random.Random(seed)
    spec: Object = {"completions": completions, "parallelism": parallelism, "backoffLimit": 1000}
    if mode != "NonIndexed":
        spec["completionMode"] = "Indexed"
    if mode == "PerIndex":
        spec["backoffLimitPerIndex"] = 1000
    world = World(job(podReplacementPolicy=policy, **spec))
    ends = {"Succeeded": 0, "Failed": 0}
    for _ in range(300):
        world.look()
        world.now += rng.choice((0, 1, 700))
        running = [own for own, pod in world.pods.items() if pod["status"]["phase"] == "Running"]
        assert len([own for own in running if "deletionTimestamp" not in world.pods[own]["metadata"]]) <= parallelism
        if running and rng.random() < 0.6:
            own = rng.choice(running)
            leaving = "deletionTimestamp" in world.pods[own]["metadata"]
            match rng.choice(("succeed", "fail", "delete")):
                case "succeed" if not leaving:
                    world.succeed(own)
                    ends["Succeeded"] += 1
                case "delete" if not leaving:
                    world.pods[own]["metadata"]["deletionTimestamp"] = decide.timestamp(world.now)
                case _:
                    world.fail(own)
        for own in list(world.pods):
            if not world.pods[own]["metadata"]["finalizers"] and rng.random() < 0.5:
                if world.pods[own]["metadata"].get("deletionTimestamp"):
                    del world.pods[own]
        if decide.finished(world.job):
            break
    for _ in range(400):
        world.settle()
        world.now += 700
        for own, pod in world.pods.items():
            if pod["status"]["phase"] == "Running":
                if "deletionTimestamp" in pod["metadata"]:
                    world.fail(own)
                else:
                    world.succeed(own)
        if decide.finished(world.job):
            break
    assert decide.finished(world.job) == "Complete"
    status = world.job["status"]
    assert status["succeeded"] >= completions
    assert status["succeeded"] + status.get("failed", 0) <= world.made
    assert not status["uncountedTerminatedPods"]
    assert all(not pod["metadata"]["finalizers"] for pod in world.pods.values())
    if mode == "NonIndexed":
        assert status["succeeded"] + status.get("failed", 0) == world.made
