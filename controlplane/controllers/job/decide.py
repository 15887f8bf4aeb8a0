"""A Job and its pods in; pods to create and delete, pods to let go, and the status, out. Pure.

Every pod of a Job keeps the finalizer `TRACKED` until it has been counted in the status, so that none is counted
twice or lost. Counting takes two writes: first its uid is listed in `uncountedTerminatedPods`, then its finalizer
goes; when it is gone, the uid becomes part of the count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..meta import (
    Object,
    annotations_of,
    condition,
    controller_reference,
    is_deleting,
    metadata,
    name,
    namespace,
    parse_time,
    spec,
    status,
    timestamp,
    uid,
)
from ..pods import from_template, is_active, is_ready, is_terminal, phase

TRACKED = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
BACKOFF_FIRST, BACKOFF_MOST = 10.0, 600.0
"""Seconds after a failure before another pod is made: doubling with each failure."""
BURST = 500


@dataclass(frozen=True)
class Plan:
    status: Object
    create: tuple[int | None, ...] = ()
    """One entry a pod: its completion index, or None."""
    delete: tuple[Object, ...] = ()
    release: tuple[Object, ...] = ()
    """Pods whose finalizer may go once `status` is written."""
    event: tuple[str, str, str] | None = None
    """(type, reason, message) to tell when the status is written."""
    again: float | None = None
    """Seconds until another look."""


def is_indexed(job: Object) -> bool:
    return bool(spec(job).get("completionMode") == "Indexed")


def finished(job: Object) -> str | None:
    """Complete or Failed, when the Job is."""
    for kind in ("Complete", "Failed"):
        found = condition(status(job).get("conditions"), kind)
        if found is not None and found.get("status") == "True":
            return kind
    return None


def is_tracked(pod: Object) -> bool:
    return TRACKED in (metadata(pod).get("finalizers") or ())


def index_of(pod: Object) -> int | None:
    text = annotations_of(pod).get(INDEX, "")
    return int(text) if text.isdecimal() else None


def plan(job: Object, pods: Sequence[Object], now: float) -> Plan:
    if finished(job) is not None or is_deleting(job):
        return Plan(status(job), release=tuple(pod for pod in pods if is_tracked(pod) and _is_over(pod)))
    counted, release = _count(job, pods)
    out = _renew(job, pods, counted, now)
    active = [pod for pod in pods if is_active(pod)]
    verdict = _verdict(job, pods, out, now)
    if verdict is not None:
        return _end(job, active, pods, out, release, verdict, now)
    if spec(job).get("suspend"):
        return Plan(_suspended(out, now), delete=tuple(active), release=release)
    create, wait = _missing(job, pods, active, out, now)
    surplus = max(0, len(active) - _wanted(job, out))
    doomed = sorted(active, key=is_ready)[:surplus]
    deadline = _deadline(job, out)
    waits = [seconds for seconds in (wait, deadline - now if deadline is not None else None) if seconds is not None]
    return Plan(out, create, tuple(doomed), release, again=max(0.0, min(waits)) if waits else None)


def _is_over(pod: Object) -> bool:
    return is_terminal(pod) or is_deleting(pod)


def _succeeded(pod: Object) -> bool:
    return phase(pod) == "Succeeded"


def _count(job: Object, pods: Sequence[Object]) -> tuple[Object, tuple[Object, ...]]:
    """(counters and list of the uncounted, pods whose finalizer may go)."""
    listed = status(job).get("uncountedTerminatedPods") or {}
    tracked = {uid(pod) for pod in pods if is_tracked(pod)}
    out: Object = {}
    release: list[Object] = []
    waiting: dict[str, list[str]] = {}
    for field, good in (("succeeded", True), ("failed", False)):
        before = listed.get(field) or []
        still = [item for item in before if item in tracked]
        total = int(status(job).get(field) or 0) + len(before) - len(still)
        over = [pod for pod in pods if is_tracked(pod) and _is_over(pod) and _succeeded(pod) == good]
        fresh = [uid(pod) for pod in over if uid(pod) not in still]
        release += over
        out[field] = total
        if still or fresh:
            waiting[field] = still + fresh
    out["uncountedTerminatedPods"] = waiting
    return out, tuple(release)


def totals(out: Object) -> tuple[int, int]:
    """(succeeded, failed), those on their way into the count included."""
    waiting = out.get("uncountedTerminatedPods") or {}
    return (
        int(out.get("succeeded") or 0) + len(waiting.get("succeeded") or ()),
        int(out.get("failed") or 0) + len(waiting.get("failed") or ()),
    )


def _renew(job: Object, pods: Sequence[Object], counted: Object, now: float) -> Object:
    active = [pod for pod in pods if is_active(pod)]
    out: Object = {key: value for key, value in status(job).items() if key not in COUNTS}
    optional = {
        "active": len(active),
        "succeeded": counted["succeeded"],
        "failed": counted["failed"],
    }
    out.update({field: value for field, value in optional.items() if value})
    out["ready"] = sum(is_ready(pod) for pod in active)
    out["terminating"] = sum(is_deleting(pod) and not is_terminal(pod) for pod in pods)
    out["uncountedTerminatedPods"] = counted["uncountedTerminatedPods"]
    if "startTime" not in out and not spec(job).get("suspend"):
        out["startTime"] = timestamp(now)
    if is_indexed(job) and (done := completed_indexes(job, pods)):
        out["completedIndexes"] = format_indexes(done)
        out["succeeded"] = len(done)
    return out


COUNTS = frozenset({"active", "succeeded", "failed", "ready", "terminating", "uncountedTerminatedPods"})


def completed_indexes(job: Object, pods: Sequence[Object]) -> set[int]:
    done = parse_indexes(str(status(job).get("completedIndexes") or ""))
    return done | {index for pod in pods if _succeeded(pod) and (index := index_of(pod)) is not None}


def parse_indexes(text: str) -> set[int]:
    """0,2-4 as a set."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def format_indexes(indexes: set[int]) -> str:
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _deadline(job: Object, out: Object) -> float | None:
    limit, begun = spec(job).get("activeDeadlineSeconds"), parse_time(out.get("startTime"))
    return None if limit is None or begun is None else begun + int(limit)


def _verdict(job: Object, pods: Sequence[Object], out: Object, now: float) -> tuple[str, str, str] | None:
    """(Complete or Failed, reason, message) once the Job's fate is settled."""
    succeeded, failed = totals(out)
    backoff_limit = spec(job).get("backoffLimit")
    restarts = sum(
        int(item.get("restartCount") or 0)
        for pod in pods
        if is_active(pod)
        for item in status(pod).get("containerStatuses") or ()
    )
    on_failure = spec(spec(job).get("template") or {}).get("restartPolicy") == "OnFailure"
    limit = 6 if backoff_limit is None else int(backoff_limit)
    if failed > limit or (on_failure and 0 < limit < restarts):
        return "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    deadline = _deadline(job, out)
    if deadline is not None and now >= deadline and not spec(job).get("suspend"):
        return "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"
    completions = spec(job).get("completions")
    if is_indexed(job):
        enough = len(completed_indexes(job, pods)) >= int(completions or 0)
    elif completions is None:
        enough = succeeded > 0 and not any(is_active(pod) for pod in pods)
    else:
        enough = succeeded >= int(completions)
    if enough:
        return "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
    return None


def _condition(kind: str, reason: str, message: str, now: float, value: str = "True") -> Object:
    at = timestamp(now)
    return {
        "type": kind,
        "status": value,
        "lastProbeTime": at,
        "lastTransitionTime": at,
        "reason": reason,
        "message": message,
    }


def _end(
    job: Object,
    active: Sequence[Object],
    pods: Sequence[Object],
    out: Object,
    release: tuple[Object, ...],
    verdict: tuple[str, str, str],
    now: float,
) -> Plan:
    """Say what is coming, stop what runs, wait until all is counted, then close the Job."""
    kind, reason, message = verdict
    early = "SuccessCriteriaMet" if kind == "Complete" else "FailureTarget"
    conditions = list(out.get("conditions") or ())
    if condition(conditions, early) is None:
        conditions.append(_condition(early, reason, message, now))
    out = {**out, "conditions": conditions}
    leaving = any(is_deleting(pod) and not is_terminal(pod) for pod in pods)
    if active or leaving or any(out["uncountedTerminatedPods"].values()):
        return Plan(out, delete=tuple(active), release=release)
    out = {**out, "conditions": [*conditions, _condition(kind, reason, message, now)]}
    if kind == "Complete":
        out["completionTime"] = timestamp(now)
        return Plan(out, release=release, event=("Normal", "Completed", "Job completed"))
    return Plan(out, release=release, event=("Warning", reason, message))


def _suspended(out: Object, now: float) -> Object:
    found = condition(out.get("conditions"), "Suspended")
    if found is not None and found.get("status") == "True":
        return out
    rest = [item for item in out.get("conditions") or () if item.get("type") != "Suspended"]
    return {**out, "conditions": [*rest, _condition("Suspended", "JobSuspended", "Job suspended", now)]}


def _wanted(job: Object, out: Object) -> int:
    """How many pods should be active now."""
    value = spec(job).get("parallelism")
    parallelism = 1 if value is None else int(value)
    completions = spec(job).get("completions")
    succeeded = int(out.get("succeeded") or 0) if is_indexed(job) else totals(out)[0]
    if completions is None:
        return parallelism if not succeeded else min(parallelism, int(out.get("active") or 0))
    return min(parallelism, max(0, int(completions) - succeeded))


def _missing(
    job: Object, pods: Sequence[Object], active: Sequence[Object], out: Object, now: float
) -> tuple[tuple[int | None, ...], float | None]:
    """(pods to create, seconds to wait before creating them)."""
    leaving = sum(is_deleting(pod) and not is_terminal(pod) for pod in pods)
    short = min(_wanted(job, out) - len(active) - leaving, BURST)
    if short <= 0:
        return (), None
    wait = _backoff(pods, totals(out)[1], now)
    if wait > 0:
        return (), wait
    if not is_indexed(job):
        return (None,) * short, None
    taken = completed_indexes(job, pods) | {index for pod in active if (index := index_of(pod)) is not None}
    free = (index for index in range(int(spec(job).get("completions") or 0)) if index not in taken)
    return tuple(index for index, _ in zip(free, range(short), strict=False)), None


def _backoff(pods: Sequence[Object], failed: int, now: float) -> float:
    ends = [_ended(pod) for pod in pods if phase(pod) == "Failed"]
    last = max((end for end in ends if end is not None), default=None)
    if last is None or failed == 0:
        return 0.0
    return last + min(BACKOFF_FIRST * 2.0 ** min(failed - 1, 10), BACKOFF_MOST) - now


def _ended(pod: Object) -> float | None:
    times = [
        parse_time(((item.get("state") or {}).get("terminated") or {}).get("finishedAt"))
        for item in status(pod).get("containerStatuses") or ()
    ]
    known = [time for time in times if time is not None]
    return max(known) if known else parse_time(metadata(pod).get("creationTimestamp"))


def new_pod(job: Object, index: int | None) -> Object:
    template = spec(job).get("template") or {}
    meta = template.get("metadata") or {}
    prefix = f"{name(job)}-"
    if index is not None:
        prefix = f"{name(job)}-{index}-"
        where = {INDEX: str(index)}
        meta = {
            **meta,
            "labels": {**(meta.get("labels") or {}), **where},
            "annotations": {**(meta.get("annotations") or {}), **where},
        }
        template = {**template, "spec": _told_index(template.get("spec") or {}, f"{name(job)}-{index}")}
    meta = {**meta, "finalizers": [*(meta.get("finalizers") or ()), TRACKED]}
    owner = controller_reference(job, "batch/v1", "Job")
    return from_template({**template, "metadata": meta}, namespace=namespace(job), owner=owner, prefix=prefix)


def _told_index(pod_spec: Object, hostname: str) -> Object:
    """Each container learns its index from the environment."""
    source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    variable = {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}
    out = {**pod_spec, "hostname": pod_spec.get("hostname") or hostname}
    for field in ("containers", "initContainers"):
        if pod_spec.get(field):
            out[field] = [{**each, "env": [*(each.get("env") or ()), variable]} for each in pod_spec[field]]
    return out


def expires(job: Object) -> float | None:
    """When a finished Job with a time to live goes, in seconds since the epoch."""
    ttl, kind = spec(job).get("ttlSecondsAfterFinished"), finished(job)
    if ttl is None or kind is None:
        return None
    at = parse_time((condition(status(job).get("conditions"), kind) or {}).get("lastTransitionTime"))
    return None if at is None else at + int(ttl)
