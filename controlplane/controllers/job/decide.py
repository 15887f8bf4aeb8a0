"""A Job and its pods in; pods to create and delete, pods to let go, and the status, out. Pure.

https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..meta import (
    Object,
    condition,
    controller_reference,
    is_deleting,
    name,
    namespace,
    parse_time,
    spec,
    status,
    timestamp,
)
from ..pods import from_template, is_active, is_ready, is_terminal
from . import backoff
from .counting import TRACKED, Count, count, is_tracked
from .indexes import INDEX, completions, format_indexes, index_of, is_indexed, valid_index
from .policy import FAILURES, IGNORED, failures_after, job_failure, only_failed_are_replaced, per_index, success

BURST = 500
MANAGER = "kubernetes.io/job-controller"

Event = tuple[str, str, str]
"""(type, reason, message)"""


@dataclass(frozen=True)
class Plan:
    status: Object
    create: tuple[int | None, ...] = ()
    """One entry a pod: its completion index, or None."""
    delete: tuple[Object, ...] = ()
    release: tuple[Object, ...] = ()
    """Pods whose finalizer may go once `status` is written."""
    event: Event | None = None
    """To tell when the status is written."""
    again: float | None = None
    """Seconds until another look."""


@dataclass(frozen=True)
class Verdict:
    """The Job's fate: Complete or Failed, and why."""

    kind: str
    reason: str
    message: str

    @property
    def early(self) -> str:
        """The condition that announces it while pods are still leaving."""
        return "SuccessCriteriaMet" if self.kind == "Complete" else "FailureTarget"


def is_ours(job: Object) -> bool:
    """Jobs that name another manager are left alone."""
    return spec(job).get("managedBy") in (None, "", MANAGER)


def finished(job: Object) -> str | None:
    """Complete or Failed, when the Job is."""
    for kind in ("Complete", "Failed"):
        found = condition(status(job).get("conditions"), kind)
        if found is not None and found.get("status") == "True":
            return kind
    return None


def plan(job: Object, pods: Sequence[Object], now: float) -> Plan:
    if finished(job) is not None:
        return Plan(status(job), release=tuple(pod for pod in pods if is_tracked(pod) and _is_over(pod)))
    if is_deleting(job):
        return Plan(status(job), release=tuple(pod for pod in pods if is_tracked(pod)))
    counted = count(job, pods)
    active = [pod for pod in pods if is_active(pod)]
    verdict = _announced(job) or _failure(job, pods, counted, now) or _success(job, active, counted)
    if verdict is not None:
        counted = count(job, pods, ending=True)
        return _end(job, active, pods, counted, verdict, now)
    out, event = _suspension(job, _renew(job, pods, counted, now), now)
    if spec(job).get("suspend"):
        return Plan(out, delete=tuple(active), release=counted.release, event=event)
    doomed = _surplus(job, active, counted)
    create, wait = ((), None) if doomed else _missing(job, pods, active, counted, now)
    deadline = _deadline(job, out)
    waits = [seconds for seconds in (wait, deadline - now if deadline is not None else None) if seconds is not None]
    again = max(0.0, min(waits)) if waits else None
    return Plan(out, create, doomed, counted.release, event, again)


def _is_over(pod: Object) -> bool:
    return is_terminal(pod) or is_deleting(pod)


COUNTS = frozenset({"active", "succeeded", "failed", "ready", "terminating", "uncountedTerminatedPods"})


def _renew(job: Object, pods: Sequence[Object], counted: Count, now: float) -> Object:
    active = [pod for pod in pods if is_active(pod)]
    out: Object = {key: value for key, value in status(job).items() if key not in COUNTS}
    optional = {"active": len(active), "succeeded": counted.succeeded, "failed": counted.failed}
    out.update({field: value for field, value in optional.items() if value})
    out["ready"] = sum(is_ready(pod) for pod in active)
    out["terminating"] = sum(is_deleting(pod) and not is_terminal(pod) for pod in pods)
    out["uncountedTerminatedPods"] = dict(counted.uncounted)
    if "startTime" not in out and not spec(job).get("suspend"):
        out["startTime"] = timestamp(now)
    if is_indexed(job):
        out.pop("completedIndexes", None)
        if counted.done:
            out["completedIndexes"] = format_indexes(counted.done)
        if per_index(job) is not None:
            out["failedIndexes"] = format_indexes(counted.lost)
    return out


def _deadline(job: Object, out: Object) -> float | None:
    limit, begun = spec(job).get("activeDeadlineSeconds"), parse_time(out.get("startTime"))
    return None if limit is None or begun is None else begun + int(limit)


def _announced(job: Object) -> Verdict | None:
    """What an earlier look has announced stands."""
    for kind, early in (("Failed", "FailureTarget"), ("Complete", "SuccessCriteriaMet")):
        found = condition(status(job).get("conditions"), early)
        if found is not None and found.get("status") == "True":
            return Verdict(kind, str(found.get("reason")), str(found.get("message")))
    return None


def _failure(job: Object, pods: Sequence[Object], counted: Count, now: float) -> Verdict | None:
    if (said := job_failure(job, pods)) is not None:
        return Verdict("Failed", "PodFailurePolicy", said)
    value = spec(job).get("backoffLimit")
    limit = 6 if value is None else int(value)
    if counted.all_failed > limit or _restarted_too_often(job, pods, limit):
        return Verdict("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    deadline = _deadline(job, status(job))
    if deadline is not None and now >= deadline and not spec(job).get("suspend"):
        return Verdict("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
    if per_index(job) is None:
        return None
    most = spec(job).get("maxFailedIndexes")
    if most is not None and len(counted.lost) > int(most):
        return Verdict(
            "Failed", "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"
        )
    if counted.lost and len(counted.lost) + len(counted.done) >= (completions(job) or 0):
        return Verdict("Failed", "FailedIndexes", "Job has failed indexes")
    return None


def _restarted_too_often(job: Object, pods: Sequence[Object], limit: int) -> bool:
    """Pods that restart in place count their containers' restarts instead of failed pods."""
    template = spec(spec(job).get("template") or {})
    if template.get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(
        int(item.get("restartCount") or 0)
        for pod in pods
        if is_active(pod)
        for field in ("initContainerStatuses", "containerStatuses")
        for item in status(pod).get(field) or ()
    )
    return restarts > 0 if limit == 0 else restarts >= limit


def _success(job: Object, active: Sequence[Object], counted: Count) -> Verdict | None:
    wanted = completions(job)
    if is_indexed(job) and (said := success(job, set(counted.done), wanted or 0)) is not None:
        return Verdict("Complete", "SuccessPolicy", said)
    if wanted is None:
        enough = counted.all_succeeded > 0 and not active
    else:
        enough = counted.all_succeeded >= wanted and (wanted > 0 or not active)
    if enough:
        return Verdict("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
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
    job: Object, active: Sequence[Object], pods: Sequence[Object], counted: Count, verdict: Verdict, now: float
) -> Plan:
    """Say what is coming, stop what runs, wait until all is counted, then close the Job."""
    out = _renew(job, pods, counted, now)
    kind, reason, message = verdict.kind, verdict.reason, verdict.message
    conditions = list(out.get("conditions") or ())
    if condition(conditions, verdict.early) is None:
        conditions.append(_condition(verdict.early, reason, message, now))
    out = {**out, "conditions": conditions}
    leaving = any(is_deleting(pod) and not is_terminal(pod) for pod in pods)
    if active or leaving or any(out["uncountedTerminatedPods"].values()):
        return Plan(out, delete=tuple(active), release=counted.release)
    out = {**out, "conditions": [*conditions, _condition(kind, reason, message, now)]}
    if kind == "Complete":
        out["completionTime"] = timestamp(now)
        return Plan(out, release=counted.release, event=("Normal", "Completed", "Job completed"))
    return Plan(out, release=counted.release, event=("Warning", reason, message))


def _suspension(job: Object, out: Object, now: float) -> tuple[Object, Event | None]:
    """The condition Suspended; a Job that is resumed starts anew, also for its deadline."""
    found = condition(out.get("conditions"), "Suspended")
    suspended = bool(spec(job).get("suspend"))
    if (found is not None and found.get("status") == "True") == suspended:
        return out, None
    new = (
        _condition("Suspended", "JobSuspended", "Job suspended", now)
        if suspended
        else _condition("Suspended", "JobResumed", "Job resumed", now, "False")
    )
    rest = [item for item in out.get("conditions") or () if item.get("type") != "Suspended"]
    out = {**out, "conditions": [*rest, new]}
    if not suspended:
        out["startTime"] = timestamp(now)
    return out, ("Normal", "Suspended" if suspended else "Resumed", str(new["message"]))


def _wanted(job: Object, active: int, counted: Count) -> int:
    """How many pods should be active now."""
    value = spec(job).get("parallelism")
    parallelism = 1 if value is None else int(value)
    total = completions(job)
    if total is None:
        return parallelism if not counted.all_succeeded else min(parallelism, active)
    return min(parallelism, max(0, total - counted.all_succeeded))


def _surplus(job: Object, active: Sequence[Object], counted: Count) -> tuple[Object, ...]:
    """Pods to stop: of indexes that are twice there, done, or no longer wanted; then as many as are too many."""
    doomed: list[Object] = []
    rest = list(active)
    if is_indexed(job):
        seen: set[int] = set()
        for pod in sorted(active, key=lambda pod: (not is_ready(pod), name(pod))):
            index = valid_index(job, pod)
            if index is None or index in seen or index in counted.lost:
                doomed.append(pod)
            else:
                seen.add(index)
        rest = [pod for pod in active if pod not in doomed]
    more = len(rest) - _wanted(job, len(rest), counted)
    ordered = sorted(rest, key=lambda pod: (is_ready(pod), -(index_of(pod) or 0)))
    return tuple([*doomed, *ordered[: max(0, more)]][:BURST])


def _missing(
    job: Object, pods: Sequence[Object], active: Sequence[Object], counted: Count, now: float
) -> tuple[tuple[int | None, ...], float | None]:
    """(pods to create, seconds to wait before creating more)."""
    leaving = [pod for pod in pods if is_deleting(pod) and not is_terminal(pod)]
    if not only_failed_are_replaced(job):
        leaving = []
    short = min(_wanted(job, len(active), counted) - len(active) - len(leaving), BURST)
    if short <= 0:
        return (), None
    if per_index(job) is None:
        wait = backoff.remaining(job, pods, now)
        if wait > 0:
            return (), wait
        if not is_indexed(job):
            return (None,) * short, None
    free = _free_indexes(job, [*active, *leaving], counted)
    if per_index(job) is None:
        return tuple(free[:short]), None
    return _ripe(job, free, counted, short, now)


def _free_indexes(job: Object, busy: Sequence[Object], counted: Count) -> list[int]:
    taken = counted.done | counted.lost | {index for pod in busy if (index := index_of(pod)) is not None}
    return [index for index in range(completions(job) or 0) if index not in taken]


def _ripe(
    job: Object, free: Sequence[int], counted: Count, short: int, now: float
) -> tuple[tuple[int, ...], float | None]:
    """Those indexes whose own back-off is over."""
    chosen: list[int] = []
    waits: list[float] = []
    for index in free:
        before = counted.held.get(index)
        wait = 0.0
        if before is not None:
            wait = backoff.for_index(failures_after(job, before)[0], before, now)
        if wait > 0:
            waits.append(wait)
        elif len(chosen) < short:
            chosen.append(index)
    return tuple(chosen), min(waits, default=None)


def replaced(job: Object, pods: Sequence[Object], index: int | None) -> Object | None:
    """The failed pod whose counts the next pod of the index inherits."""
    return None if index is None or per_index(job) is None else count(job, pods).held.get(index)


def new_pod(job: Object, index: int | None, before: Object | None = None) -> Object:
    """A pod of the Job; `before` is the failed pod of its index that it replaces."""
    template = spec(job).get("template") or {}
    meta = template.get("metadata") or {}
    prefix = f"{name(job)}-"
    if index is not None:
        prefix = f"{name(job)}-{index}-"
        where = {INDEX: str(index)}
        counts = {}
        if per_index(job) is not None:
            failures, ignored = failures_after(job, before)
            counts = {FAILURES: str(failures)}
            if ignored or (before is not None and spec(job).get("podFailurePolicy") is not None):
                counts[IGNORED] = str(ignored)
        meta = {
            **meta,
            "labels": {**(meta.get("labels") or {}), **where},
            "annotations": {**(meta.get("annotations") or {}), **where, **counts},
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
            out[field] = [_with_variable(each, variable) for each in pod_spec[field]]
    return out


def _with_variable(container: Object, variable: Object) -> Object:
    env = container.get("env") or []
    if any(item.get("name") == variable["name"] for item in env):
        return container
    return {**container, "env": [*env, variable]}


def expires(job: Object) -> float | None:
    """When a finished Job with a time to live goes, in seconds since the epoch."""
    ttl, kind = spec(job).get("ttlSecondsAfterFinished"), finished(job)
    if ttl is None or kind is None:
        return None
    at = parse_time((condition(status(job).get("conditions"), kind) or {}).get("lastTransitionTime"))
    return None if at is None else at + int(ttl)
