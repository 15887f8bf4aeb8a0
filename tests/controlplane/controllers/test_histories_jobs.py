"""Random histories of Jobs and CronJobs: what ends is counted once, and nothing runs that should not."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.controllers.cronjob.decide import SCHEDULED
from panal.controlplane.controllers.cronjob.reconcile import CronJobs
from panal.controlplane.controllers.job.counting import TRACKED
from panal.controlplane.controllers.job.decide import finished
from panal.controlplane.controllers.job.reconcile import Jobs
from panal.controlplane.controllers.meta import controller_of, is_deleting, metadata, name, spec, timestamp
from panal.controlplane.controllers.pods import is_active
from panal.resources import CRONJOBS, JOBS, PODS

from .world import MANY, NS, Object, Step, World, histories, number, run


def job() -> Object:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}]}}
    body = {"parallelism": 2, "completions": 3, "backoffLimit": 6, "template": template}
    return {"metadata": {"name": "sum"}, "spec": {**body, "selector": {"matchLabels": {"app": "web"}}}}


def test_pods_that_arrive_while_the_status_is_written_are_not_made_again() -> None:
    async def story() -> None:
        world = World(Jobs)
        await world.api.create(JOBS, job(), NS)
        world.hear_all()
        await world.work(0)
        assert len(world.api.all(PODS)) == 2
        for informer in world._followed():
            world._hear(informer, 1 if informer.resource is PODS else 99)
        await world.work(0, "heard")
        assert len(world.api.all(PODS)) == 2

    run(story)


kubelet = st.tuples(
    st.just("kubelet"), number, st.sampled_from(["Running", "Running", "Succeeded", "Succeeded", "Failed"])
)


@MANY
@given(
    histories(
        st.tuples(st.just("bind"), number),
        kubelet,
        kubelet,
        st.tuples(st.just("delete pod"), number),
        st.tuples(st.just("suspend"), st.booleans()),
        st.tuples(st.just("width"), st.integers(1, 4)),
        st.tuples(st.just("time"), st.integers(1, 40)),
    ),
    st.booleans(),
)
def test_a_job_ends_with_every_pod_counted_once_and_never_ran_more_than_it_may(
    history: list[Step], indexed: bool
) -> None:
    async def story() -> None:
        world = World(Jobs, begins=(Jobs,))
        made = job()
        made["spec"]["completionMode"] = "Indexed" if indexed else "NonIndexed"
        found = await world.api.create(JOBS, made, NS)
        most = 2

        async def change(**fields: Any) -> None:
            live = await world.api.get(JOBS, "sum", NS)
            await world.api.update(JOBS, {**live, "spec": {**spec(live), **fields}})

        for what, *rest in history:
            match what:
                case "suspend":
                    await change(suspend=rest[0])
                case "width":
                    most = max(most, rest[0])
                    await change(parallelism=rest[0])
                case "time":
                    world.now += rest[0]
                case _:
                    await world.step(what, *rest)
        await change(suspend=False)
        for _ in range(40):
            await world.settle(horizon=700)
            found = await world.api.get(JOBS, "sum", NS)
            if finished(found):
                break
            for index, pod in enumerate(world.api.all(PODS)):
                if is_active(pod):
                    await world.kubelet(index, "Succeeded")
        ended, status = finished(found), found["status"]
        assert ended is not None
        mine: dict[str, str] = {}
        for resource, _, obj in world.api.log:
            if resource is PODS and (controller_of(obj) or {}).get("uid") == metadata(found)["uid"]:
                mine[metadata(obj)["uid"]] = obj["status"]["phase"]
        succeeded = sum(phase == "Succeeded" for phase in mine.values())
        if ended == "Complete":
            assert status["succeeded"] == (3 if indexed else succeeded) >= 3
            assert not indexed or status["completedIndexes"] == "0-2"
        else:
            assert status["failed"] > 6
        assert status.get("failed", 0) <= len(mine) - succeeded
        assert not status.get("active")
        assert not any(status.get("uncountedTerminatedPods", {}).values())
        assert not any(TRACKED in (metadata(pod).get("finalizers") or ()) for pod in world.api.all(PODS))
        assert world.api.most.get(metadata(found)["uid"], 0) <= most

    run(story)


@MANY
@given(
    histories(
        st.tuples(st.just("minutes"), st.integers(1, 3)),
        st.tuples(st.just("minutes"), st.integers(1, 3)),
        st.tuples(st.just("end"), number, st.sampled_from(["Complete", "Complete", "Failed"])),
        st.tuples(st.just("end"), number, st.sampled_from(["Complete", "Complete", "Failed"])),
        st.tuples(st.just("delete job"), number),
        st.tuples(st.just("suspend"), st.booleans()),
    ),
    st.sampled_from(["Allow", "Forbid", "Replace"]),
)
def test_a_cronjob_starts_each_time_once_and_what_it_keeps_is_what_was_asked_for(
    history: list[Step], policy: str
) -> None:
    async def story() -> None:
        world = World(CronJobs)
        template = {"spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}}
        body = {"schedule": "* * * * *", "concurrencyPolicy": policy, "jobTemplate": template}
        await world.api.create(CRONJOBS, {"metadata": {"name": "tick"}, "spec": body}, NS)

        def running() -> list[Object]:
            return [job for job in world.api.all(JOBS) if not finished(job) and not is_deleting(job)]

        for what, *rest in history:
            match what:
                case "minutes":
                    world.hear_all()  # watches lag, but not by minutes
                    world.now += 60.0 * rest[0]
                case "end" if found := running():
                    job = found[rest[0] % len(found)]
                    said = [{"type": rest[1], "status": "True"}]
                    at = {"completionTime": timestamp(world.now)} if rest[1] == "Complete" else {}
                    await world.api.update_status(JOBS, {**job, "status": {"conditions": said, **at}})
                case "delete job":
                    said = (await world.api.get(CRONJOBS, "tick", NS)).get("status", {}).get("lastScheduleTime", "")
                    noted = [job for job in world.api.all(JOBS) if metadata(job)["annotations"][SCHEDULED] <= said]
                    if noted:
                        await world.api.delete(JOBS, name(noted[rest[0] % len(noted)]), NS)
                case "suspend":
                    found = await world.api.get(CRONJOBS, "tick", NS)
                    await world.api.update(CRONJOBS, {**found, "spec": {**spec(found), "suspend": rest[0]}})
                case _:
                    await world.step(what, *rest)
            assert policy == "Allow" or len(running()) <= 1
        found = await world.api.get(CRONJOBS, "tick", NS)
        await world.api.update(CRONJOBS, {**found, "spec": {**spec(found), "suspend": False}})
        await world.settle()
        world.now += 60
        await world.settle()
        started = [
            metadata(obj)["name"] for resource, kind, obj in world.api.log if (resource, kind) == (JOBS, "ADDED")
        ]
        assert len(started) == len(set(started)), "no time starts twice"
        last = f"tick-{int(world.now) // 60}"
        assert last in started or (policy == "Forbid" and running())
        status = (await world.api.get(CRONJOBS, "tick", NS))["status"]
        assert sorted(item["name"] for item in status.get("active") or ()) == sorted(name(job) for job in running())
        ends = [finished(job) for job in world.api.all(JOBS)]
        assert ends.count("Complete") <= 3
        assert ends.count("Failed") <= 1

    run(story)
