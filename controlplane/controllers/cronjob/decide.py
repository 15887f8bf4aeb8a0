"""A CronJob, its Jobs and the time in; the Job to start, the Jobs to remove, and the status, out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from ..job.decide import finished
from ..meta import (
    Object,
    controller_reference,
    created,
    is_deleting,
    name,
    namespace,
    parse_time,
    spec,
    status,
    timestamp,
    uid,
)
from .schedule import following, latest, parse

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


@dataclass(frozen=True)
class Plan:
    status: Object
    create: Object | None = None
    delete: tuple[Object, ...] = ()
    events: tuple[tuple[str, str, str], ...] = ()
    again: float | None = None
    """Seconds until the next time is due."""


def zone_of(cron: Object) -> tzinfo:
    """Raises ValueError or KeyError (ZoneInfoNotFoundError) for an unknown zone."""
    wanted = spec(cron).get("timeZone")
    return ZoneInfo(wanted) if wanted else UTC


def plan(cron: Object, jobs: Sequence[Object], now: float) -> Plan:
    """Raises ValueError for a schedule that cannot be read."""
    mine = [job for job in jobs if not is_deleting(job)]
    active = [job for job in mine if finished(job) is None]
    listed = {item.get("uid") for item in status(cron).get("active") or ()}
    events = tuple(
        ("Normal", "SawCompletedJob", f"Saw completed job: {name(job)}, condition: {finished(job)}")
        for job in mine
        if finished(job) is not None and uid(job) in listed
    )
    surplus = _surplus(cron, mine)
    out = _status(cron, mine, active)
    if is_deleting(cron) or spec(cron).get("suspend"):
        return Plan(out, delete=surplus, events=events)
    schedule, zone = parse(str(spec(cron).get("schedule"))), zone_of(cron)
    upcoming = following(schedule, now, zone)
    again = upcoming - now if upcoming is not None else None
    due = latest(schedule, _since(cron, now), now, zone)
    if due is None or any(name(job) == job_name(cron, due) for job in jobs):
        return Plan(out, None, surplus, events, again)
    policy = spec(cron).get("concurrencyPolicy", "Allow")
    if policy == "Forbid" and active:
        said = "Not starting job because prior execution is running and concurrency policy is Forbid"
        return Plan(out, None, surplus, (*events, ("Normal", "JobAlreadyActive", said)), again)
    if policy == "Replace":
        surplus += tuple(active)
        out = {key: value for key, value in out.items() if key != "active"}
    out = {**out, "lastScheduleTime": timestamp(due)}
    return Plan(out, new_job(cron, due), surplus, events, again)


def _since(cron: Object, now: float) -> float:
    """Times up to here have been seen to, or are too old to start."""
    begun = parse_time(status(cron).get("lastScheduleTime")) or parse_time(created(cron)) or now
    deadline = spec(cron).get("startingDeadlineSeconds")
    return begun if deadline is None else max(begun, now - float(deadline))


def _status(cron: Object, jobs: Sequence[Object], active: Sequence[Object]) -> Object:
    out: Object = {key: value for key, value in status(cron).items() if key != "active"}
    if active:
        out["active"] = [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "namespace": namespace(job),
                "name": name(job),
                "uid": uid(job),
                "resourceVersion": job["metadata"].get("resourceVersion", ""),
            }
            for job in sorted(active, key=name)
        ]
    ends = [status(job).get("completionTime") for job in jobs if finished(job) == "Complete"]
    if times := [text for text in [*ends, out.get("lastSuccessfulTime")] if text]:
        out["lastSuccessfulTime"] = max(times)
    return out


def _surplus(cron: Object, jobs: Sequence[Object]) -> tuple[Object, ...]:
    """Finished Jobs beyond the history limits, the oldest first."""
    found: list[Object] = []
    for kind, field, default in (
        ("Complete", "successfulJobsHistoryLimit", 3),
        ("Failed", "failedJobsHistoryLimit", 1),
    ):
        limit = spec(cron).get(field)
        kept = sorted((job for job in jobs if finished(job) == kind), key=created)
        found += kept[: max(0, len(kept) - (default if limit is None else int(limit)))]
    return tuple(found)


def job_name(cron: Object, due: float) -> str:
    """The same time gives the same name, so that no time starts two Jobs."""
    return f"{name(cron)}-{int(due) // 60}"


def new_job(cron: Object, due: float) -> Object:
    template = spec(cron).get("jobTemplate") or {}
    meta = template.get("metadata") or {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(cron, due),
            "namespace": namespace(cron),
            "labels": meta.get("labels") or {},
            "annotations": {**(meta.get("annotations") or {}), SCHEDULED: timestamp(due)},
            "ownerReferences": [controller_reference(cron, "batch/v1", "CronJob")],
        },
        "spec": template.get("spec") or {},
    }
