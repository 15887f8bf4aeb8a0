"""Stories of Jobs: how pods are counted once, when a Job ends, and what it waits for."""

from __future__ import annotations

import copy
from typing import Any

from panal.controlplane.controllers.job import decide, indexes

NOW = 1_700_000_000.0
Object = dict[str, Any]


def job(**spec: Any) -> Object:
    template = {"metadata": {"labels": {"job-name": "sum"}}, "spec": {"containers": [{"name": "c"}]}}
    spec = {"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": template, **spec}
    return {"metadata": {"name": "sum", "namespace": "default", "uid": "j"}, "spec": spec, "status": {}}


class World:
    def __init__(self, owner: Object) -> None:
        self.job, self.pods, self.now = owner, {}, NOW
        self.deleted: list[str] = []
        self.events: list[str] = []

    def look(self) -> decide.Plan:
        plan = decide.plan(copy.deepcopy(self.job), list(self.pods.values()), self.now)
        self.job["status"] = plan.status
        if plan.event:
            self.events.append(plan.event[1])
        for pod in plan.release:
            pod["metadata"]["finalizers"] = []
        for index in plan.create:
            made = decide.new_pod(self.job, index)
            own = f"p{len(self.pods)}"
            made["metadata"].update(name=own, uid=own, creationTimestamp="2023-11-14T22:13:20Z")
            made["status"] = {"phase": "Running"}
            self.pods[own] = made
        for pod in plan.delete:
            self.deleted.append(pod["metadata"]["name"])
            pod["metadata"]["deletionTimestamp"] = "now"
        return plan

    def end(self, name: str, phase: str) -> None:
        self.pods[name]["status"] = {"phase": phase}

    def settle(self) -> None:
        for _ in range(6):
            self.look()

    def counts(self) -> tuple[int, int, int]:
        return tuple(self.job["status"].get(field, 0) for field in ("active", "succeeded", "failed"))  # type: ignore

    def conditions(self) -> list[str]:
        return [item["type"] for item in self.job["status"].get("conditions", ())]


def test_a_job_runs_its_pod_and_completes() -> None:
    world = World(job())
    assert world.look().create == (None,)
    assert world.pods["p0"]["metadata"]["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    assert world.look().create == ()
    assert world.counts() == (1, 0, 0)
    world.end("p0", "Succeeded")
    world.settle()
    assert world.counts() == (0, 1, 0)
    assert world.conditions() == ["SuccessCriteriaMet", "Complete"]
    assert world.events == ["Completed"]
    assert world.pods["p0"]["metadata"]["finalizers"] == []
    assert world.job["status"]["completionTime"] == "2023-11-14T22:13:20Z"


def test_a_pod_is_counted_once_even_if_it_disappears_as_soon_as_it_may() -> None:
    world = World(job(completions=2, parallelism=2))
    world.look()
    world.end("p0", "Succeeded")
    world.look()
    assert world.job["status"]["uncountedTerminatedPods"] == {"succeeded": ["p0"]}
    del world.pods["p0"]
    world.look()
    assert world.job["status"]["uncountedTerminatedPods"] == {}
    assert world.counts() == (1, 1, 0)


def test_no_more_pods_are_made_than_completions_are_missing() -> None:
    world = World(job(completions=3, parallelism=2))
    assert len(world.look().create) == 2
    world.end("p0", "Succeeded")
    assert len(world.look().create) == 1
    world.end("p1", "Succeeded")
    assert world.look().create == ()


def test_a_failed_pod_is_replaced_after_a_back_off() -> None:
    world = World(job())
    world.look()
    world.end("p0", "Failed")
    assert world.look().again == 10.0
    world.now += 10
    assert world.look().create == (None,)
    world.end("p1", "Failed")
    world.pods["p1"]["metadata"]["creationTimestamp"] = "2023-11-14T22:13:30Z"
    assert world.look().again == 20.0


def test_too_many_failures_end_the_job() -> None:
    world = World(job(backoffLimit=0, parallelism=2, completions=2))
    world.look()
    world.end("p0", "Failed")
    world.look()
    assert world.conditions() == ["FailureTarget"]
    assert world.deleted == ["p1"]
    world.settle()
    assert world.conditions() == ["FailureTarget"]
    del world.pods["p1"]
    world.settle()
    assert world.conditions() == ["FailureTarget", "Failed"]
    assert world.events == ["BackoffLimitExceeded"]


def test_a_deadline_ends_the_job() -> None:
    world = World(job(activeDeadlineSeconds=60))
    world.look()
    assert world.look().again == 60.0
    world.now += 60
    world.look()
    assert world.deleted == ["p0"]
    world.pods.clear()
    world.settle()
    assert world.job["status"]["conditions"][-1]["reason"] == "DeadlineExceeded"


def test_an_indexed_job_gives_each_pod_its_number() -> None:
    world = World(job(completionMode="Indexed", completions=3, parallelism=3))
    assert world.look().create == (0, 1, 2)
    first = world.pods["p0"]
    assert first["metadata"]["generateName"] == "sum-0-"
    assert first["metadata"]["annotations"] == {"batch.kubernetes.io/job-completion-index": "0"}
    assert first["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"
    world.end("p0", "Succeeded")
    world.end("p2", "Succeeded")
    world.end("p1", "Failed")
    world.now += 60
    assert world.look().create == (1,)
    assert world.job["status"]["completedIndexes"] == "0,2"
    world.end("p3", "Succeeded")
    world.settle()
    assert world.job["status"]["completedIndexes"] == "0-2"
    assert world.conditions()[-1] == "Complete"


def test_a_suspended_job_stops_its_pods() -> None:
    world = World(job())
    world.look()
    world.job["spec"]["suspend"] = True
    world.look()
    assert world.deleted == ["p0"]
    assert world.conditions() == ["Suspended"]


def test_a_finished_job_expires_and_does_nothing_more() -> None:
    world = World(job(ttlSecondsAfterFinished=30))
    world.look()
    assert decide.expires(world.job) is None
    world.end("p0", "Succeeded")
    world.settle()
    assert decide.expires(world.job) == NOW + 30
    assert world.look() == decide.Plan(world.job["status"])


def test_index_lists_read_and_write() -> None:
    assert indexes.format_indexes({5, 1, 2, 3, 9}) == "1-3,5,9"
    assert indexes.parse_indexes("1-3,5,9") == {1, 2, 3, 5, 9}
