"""Checks of a Job's status: its counters, and conditions that fit what the Job is.

A rule holds where what it speaks of changes: a status stored before the rule was known may be written again.
"""

from __future__ import annotations

from collections.abc import Callable

from ..fielderrors import FieldError, bad, duplicate, required, unshown
from .checks import Object, items, not_negative

_COUNTERS = ("active", "succeeded", "failed", "ready", "terminating")
_TERMINAL = ("Failed", "Complete")
_EVERY_CONDITION = ("Complete", "Failed", "SuccessCriteriaMet", "FailureTarget")


def status(new: Object, old: Object) -> list[FieldError]:
    now, before = new.get("status") or {}, old.get("status") or {}
    errors = not_negative(now, "status", *_COUNTERS) + _uncounted(now.get("uncountedTerminatedPods") or {})
    nothing = bool((spec := new.get("spec") or {}).get("suspend")) and spec.get("completions") == 0
    told, told_before = _told(now), _told(before)
    changed = {key for key in (*now, *before) if now.get(key) != before.get(key)}
    if told != told_before:
        errors += [unshown("status.conditions", words) for words, wrong in _CONTRADICTIONS if wrong(told)]
        changed.add("finished")
    errors += _times(now, told, changed, nothing)
    if told & {*_TERMINAL}:
        errors += _finished(now, changed)
    if "active" in changed or "ready" in changed:
        if (now.get("ready") or 0) > (now.get("active") or 0):
            errors.append(bad("status.ready", now.get("ready") or 0, "cannot set more ready pods than active"))
    return errors + _index_sets(spec, now, changed) + _kept(spec, now, before, told_before - told)


def _told(status: Object) -> frozenset[str]:
    """The conditions that are true."""
    found = status.get("conditions") or ()
    return frozenset(
        each["type"] for each in found if each.get("status") == "True" and each["type"] in _EVERY_CONDITION
    )


def _uncounted(found: Object) -> list[FieldError]:
    """Uids are there once, among either kind."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for kind in ("succeeded", "failed"):
        for uid, where in items(found.get(kind), f"status.uncountedTerminatedPods.{kind}"):
            if not uid:
                errors.append(bad(where, uid, "must not be empty"))
            elif uid in seen:
                errors.append(duplicate(where, uid))
            seen.add(uid)
    return errors


_CONTRADICTIONS: tuple[tuple[str, Callable[[frozenset[str]], bool]], ...] = (
    ("cannot set Complete=True and Failed=true conditions", lambda told: {"Complete", "Failed"} <= told),
    ("cannot set Failed=True condition without the FailureTarget=true condition",
     lambda told: "Failed" in told and "FailureTarget" not in told),
    ("cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
     lambda told: "Complete" in told and "SuccessCriteriaMet" not in told),
    ("cannot set SuccessCriteriaMet=True and Failed=true conditions",
     lambda told: {"SuccessCriteriaMet", "Failed"} <= told),
)  # fmt: skip


def _times(now: Object, told: frozenset[str], changed: set[str], nothing: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    begun, done = now.get("startTime"), now.get("completionTime")
    where = "status.completionTime"
    if changed & {"finished", "completionTime"}:
        if done is not None and "Complete" not in told:
            errors.append(bad(where, done, "cannot set completionTime when there is no Complete=True condition"))
        if done is None and "Complete" in told:
            errors.append(required(where, "completionTime is required for Complete jobs"))
    if changed & {"startTime", "completionTime"} and done is not None and begun is not None and done < begun:
        errors.append(bad(where, done, "completionTime cannot be set before startTime"))
    if changed & {"finished", "startTime"} and begun is None and told & {*_TERMINAL} and not nothing:
        errors.append(required("status.startTime", "startTime is required for finished job"))
    return errors


def _finished(now: Object, changed: set[str]) -> list[FieldError]:
    """Nothing runs, and nothing is left to count."""
    errors = [
        bad(f"status.{key}", now[key], f"{key}>0 is invalid for finished job")
        for key in ("active", "terminating")
        if (now.get(key) or 0) > 0 and changed & {"finished", key}
    ]
    uncounted = now.get("uncountedTerminatedPods") or {}
    if any(uncounted.values()) and changed & {"finished", "uncountedTerminatedPods"}:
        words = "uncountedTerminatedPods needs to be empty for finished job"
        errors.append(bad("status.uncountedTerminatedPods", uncounted, words))
    return errors


def _index_sets(spec: Object, now: Object, changed: set[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    indexed, count = spec.get("completionMode") == "Indexed", int(spec.get("completions") or 0)
    done, lost = now.get("completedIndexes") or "", now.get("failedIndexes")
    if "completedIndexes" in changed and done:
        if not indexed:
            words = "cannot set non-empty completedIndexes when non-indexed completion mode"
            errors.append(bad("status.completedIndexes", done, words))
        elif problem := _indexes(done, count):
            words = f"error parsing completedIndexes: {problem}"
            errors.append(bad("status.completedIndexes", done, words))
    if "failedIndexes" in changed and lost is not None:
        if spec.get("backoffLimitPerIndex") is None:
            words = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
            errors.append(bad("status.failedIndexes", lost, words))
        elif lost and (problem := _indexes(lost, count)):
            errors.append(bad("status.failedIndexes", lost, f"error parsing failedIndexes: {problem}"))
    return errors


def _indexes(text: str, count: int) -> str:
    """What is wrong with `1,3-5`: numbers below the count, each greater than the one before."""
    last = -1
    for part in text.split(","):
        ends = part.split("-")
        if len(ends) > 2:
            rule = "an index interval can have at most two parts separated by '-'"
            return f'the fragment "{part}" violates the requirement that {rule}'
        for end in ends:
            if not (end.isascii() and end.isdigit()):
                return f'cannot convert string to integer for index: "{end}"'
            if int(end) >= count:
                return f'too large index: "{end}"'
            if int(end) <= last:
                return f"non-increasing order, previous: {last}, current: {int(end)}"
            last = int(end)
    return ""


def _kept(spec: Object, now: Object, before: Object, lost: frozenset[str]) -> list[FieldError]:
    """What is over stays over; what was counted stays counted."""
    errors = [unshown("status.conditions", f"cannot disable the terminal {kind}=True condition")
              for kind in _TERMINAL if kind in lost]  # fmt: skip
    counters = ("failed",) if spec.get("completionMode") == "Indexed" else ("failed", "succeeded")
    errors += [
        bad(f"status.{key}", now.get(key) or 0, f"cannot decrease the {key} counter")
        for key in counters
        if (now.get(key) or 0) < (before.get(key) or 0)
    ]
    done = before.get("completionTime")
    if done is not None and now.get("completionTime") != done:
        words = "completionTime cannot be mutated"
        errors.append(bad("status.completionTime", now.get("completionTime"), words))
    suspended = any(
        each["type"] == "Suspended" and each.get("status") == "True" for each in before.get("conditions") or ()
    )
    if before.get("startTime") is not None and now.get("startTime") is None and not (spec.get("suspend") or suspended):
        errors.append(required("status.startTime", "startTime cannot be removed for unsuspended job"))
    return errors
