"""How the pods of a Job are counted, each once. Pure.

Every pod keeps the finalizer `TRACKED` until it has been counted in the status. Counting takes two writes: first its
uid is listed in `uncountedTerminatedPods`, then its finalizer goes; when it is gone, the uid becomes part of the count.
Succeeded pods of an Indexed Job need no list: their index in `completedIndexes` is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..meta import Object, is_deleting, metadata, status, uid
from ..pods import is_active, phase
from .indexes import completions, is_indexed, parse_indexes, valid_index
from .policy import failures_of, has_failed, index_failed, judge, per_index

TRACKED = "batch.kubernetes.io/job-tracking"


@dataclass(frozen=True)
class Count:
    """What is known of a Job's ended pods after a look at them."""

    succeeded: int
    """As the status says it: without those still listed."""
    failed: int
    uncounted: Mapping[str, Sequence[str]]
    """Uids by succeeded and failed, as the status lists them."""
    fresh_failures: int
    """Failures that count, seen but held back (see `held`)."""
    done: frozenset[int]
    """Completed indexes."""
    lost: frozenset[int]
    """Indexes that failed for good."""
    held: Mapping[int, Object]
    """With backoffLimitPerIndex, the failed pod each index is to be tried again after; it keeps its finalizer until
    then, for its successor inherits its counts."""
    release: tuple[Object, ...]
    """Pods whose finalizer may go once the status is written."""

    @property
    def all_succeeded(self) -> int:
        return self.succeeded + len(self.uncounted.get("succeeded") or ())

    @property
    def all_failed(self) -> int:
        return self.failed + len(self.uncounted.get("failed") or ()) + self.fresh_failures


def is_tracked(pod: Object) -> bool:
    return TRACKED in (metadata(pod).get("finalizers") or ())


def count(job: Object, pods: Sequence[Object], *, ending: bool = False) -> Count:
    """`ending`: the Job's fate is settled, and every pod that is not going to succeed counts as failed."""
    limit = completions(job) if is_indexed(job) else 0
    done = parse_indexes(str(status(job).get("completedIndexes") or ""), limit)
    lost = parse_indexes(str(status(job).get("failedIndexes") or ""), limit)
    for pod in pods:
        if (index := valid_index(job, pod) if is_indexed(job) else None) is None:
            continue
        if phase(pod) == "Succeeded":
            done.add(index)
        elif index_failed(job, pod):
            lost.add(index)
    held = {} if ending or per_index(job) is None else _held(job, pods, done | lost)
    return _tally(job, pods, frozenset(done), frozenset(lost), held, ending)


def _held(job: Object, pods: Sequence[Object], settled: set[int]) -> dict[int, Object]:
    found: dict[int, Object] = {}
    running = {valid_index(job, pod) for pod in pods if is_active(pod)}
    for pod in pods:
        index = valid_index(job, pod)
        if index is None or index in settled or index in running or not is_tracked(pod) or not has_failed(job, pod):
            continue
        if index not in found or sum(failures_of(found[index])) < sum(failures_of(pod)):
            found[index] = pod
    return found


def _tally(
    job: Object,
    pods: Sequence[Object],
    done: frozenset[int],
    lost: frozenset[int],
    held: Mapping[int, Object],
    ending: bool,
) -> Count:
    listed = status(job).get("uncountedTerminatedPods") or {}
    tracked = {uid(pod) for pod in pods if is_tracked(pod)}
    totals: dict[str, int] = {}
    waiting: dict[str, list[str]] = {}
    for field in ("succeeded", "failed"):
        before = listed.get(field) or []
        waiting[field] = [item for item in before if item in tracked]
        totals[field] = int(status(job).get(field) or 0) + len(before) - len(waiting[field])
    release: list[Object] = []
    back = {uid(pod) for pod in held.values()}
    fresh = 0
    for pod in pods:
        if not is_tracked(pod):
            continue
        sort = _sort(job, pod, ending)
        if sort is None:
            continue
        counts = _counts(job, pod, sort) and uid(pod) not in waiting["succeeded"] + waiting["failed"]
        if uid(pod) in back:
            fresh += counts
            continue
        release.append(pod)
        if counts:
            waiting[sort].append(uid(pod))
    if is_indexed(job):
        totals["succeeded"] = len(done)
    kept = {field: uids for field, uids in waiting.items() if uids}
    return Count(totals["succeeded"], totals["failed"], kept, fresh, done, lost, held, tuple(release))


def _sort(job: Object, pod: Object, ending: bool) -> str | None:
    """Where the pod counts; None while it goes on."""
    if phase(pod) == "Succeeded":
        return "succeeded"
    if has_failed(job, pod) or (ending and is_deleting(pod)):
        return "failed"
    return None


def _counts(job: Object, pod: Object, sort: str) -> bool:
    if is_indexed(job) and (sort == "succeeded" or valid_index(job, pod) is None):
        return False
    return sort == "succeeded" or judge(job, pod).counted
