from __future__ import annotations

from typing import Any

import pytest

from panal.controlplane.controllers.cronjob import decide

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z
Object = dict[str, Any]


def cron(schedule: str = "*/5 * * * *", since: str = "2023-11-14T22:08:00Z", status: Any = None, **spec: Any) -> Object:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {}}}
    meta = {"name": "tick", "namespace": "default", "uid": "c", "creationTimestamp": since}
    return {"metadata": meta, "spec": {"schedule": schedule, "jobTemplate": template, **spec}, "status": status or {}}


def job(name: str, end: str | None = None, made: str = "1") -> Object:
    conditions = [{"type": end, "status": "True"}] if end else []
    meta = {"name": name, "namespace": "default", "uid": name, "creationTimestamp": made}
    return {"metadata": meta, "spec": {}, "status": {"conditions": conditions}}


def names(jobs: Any) -> list[str]:
    return [item["metadata"]["name"] for item in jobs]


def test_a_job_starts_when_its_time_has_come() -> None:
    plan = decide.plan(cron(), [], NOW)
    assert plan.create is not None
    assert plan.create["metadata"]["name"] == "tick-28333330"
    assert plan.create["metadata"]["annotations"] == {decide.SCHEDULED: "2023-11-14T22:10:00Z"}
    assert plan.status["lastScheduleTime"] == "2023-11-14T22:10:00Z"
    assert plan.again == 100.0


def test_a_time_that_was_seen_to_starts_nothing() -> None:
    assert decide.plan(cron(status={"lastScheduleTime": "2023-11-14T22:10:00Z"}), [], NOW).create is None
    assert decide.plan(cron(), [job("tick-28333330")], NOW).create is None


def test_a_time_missed_by_too_much_is_let_go() -> None:
    assert decide.plan(cron(startingDeadlineSeconds=60), [], NOW).create is None
    assert decide.plan(cron(startingDeadlineSeconds=300), [], NOW).create is not None


def test_a_suspended_cronjob_waits() -> None:
    plan = decide.plan(cron(suspend=True), [], NOW)
    assert (plan.create, plan.again) == (None, None)


@pytest.mark.parametrize(
    ("policy", "starts", "removed"), [("Allow", 1, []), ("Forbid", 0, []), ("Replace", 1, ["old"])]
)
def test_what_happens_to_a_job_still_running(policy: str, starts: int, removed: list[str]) -> None:
    plan = decide.plan(cron(concurrencyPolicy=policy), [job("old")], NOW)
    assert (int(plan.create is not None), names(plan.delete)) == (starts, removed)
    assert [event[1] for event in plan.events] == (["JobAlreadyActive"] if policy == "Forbid" else [])


def test_the_history_keeps_the_youngest() -> None:
    done = [job(f"ok-{number}", "Complete", str(number)) for number in range(5)]
    failed = [job(f"bad-{number}", "Failed", str(number)) for number in range(2)]
    assert names(decide.plan(cron(), [*done, *failed], NOW).delete) == ["ok-0", "ok-1", "bad-0"]


def test_the_status_lists_what_runs_and_tells_of_what_has_ended() -> None:
    status = {"active": [{"uid": "one"}], "lastScheduleTime": "2023-11-14T22:10:00Z"}
    plan = decide.plan(cron(status=status), [job("one", "Complete"), job("two")], NOW)
    assert [item["name"] for item in plan.status["active"]] == ["two"]
    assert plan.events == (("Normal", "SawCompletedJob", "Saw completed job: one, condition: Complete"),)
