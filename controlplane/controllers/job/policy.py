"""What a Job's pod failure policy and success policy make of its pods. Pure.

https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy and #success-policy
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..meta import Object, annotations_of, is_deleting, name, namespace, spec, status
from ..pods import phase
from .indexes import parse_indexes, valid_index

FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"


@dataclass(frozen=True)
class Judgement:
    """What the first matching rule says of a failed pod."""

    counted: bool = True
    """Whether the failure counts towards a back-off limit."""
    action: str = ""
    message: str = ""
    """Why the Job fails; only with the action FailJob."""


def only_failed_are_replaced(job: Object) -> bool:
    """Whether a pod being deleted keeps its place until it has ended."""
    return spec(job).get("podReplacementPolicy") == "Failed" or spec(job).get("podFailurePolicy") is not None


def has_failed(job: Object, pod: Object) -> bool:
    if phase(pod) == "Failed":
        return True
    if only_failed_are_replaced(job):
        return False
    return is_deleting(pod) and phase(pod) != "Succeeded"


def judge(job: Object, pod: Object) -> Judgement:
    """A failed pod, by the Job's podFailurePolicy; without one every failure counts."""
    where = f"pod {namespace(pod)}/{name(pod)}"
    for number, rule in enumerate((spec(job).get("podFailurePolicy") or {}).get("rules") or ()):
        action = str(rule.get("action"))
        if rule.get("onExitCodes"):
            container = _exited(status(pod), rule["onExitCodes"])
            if container is None:
                continue
            code = container["state"]["terminated"]["exitCode"]
            said = f"Container {container.get('name')} for {where} failed with exit code {code}"
        else:
            found = _condition(status(pod), rule.get("onPodConditions") or ())
            if found is None:
                continue
            said = f"Pod {namespace(pod)}/{name(pod)} has condition {found}"
        message = f"{said} matching {action} rule at index {number}" if action == "FailJob" else ""
        return Judgement(action != "Ignore", action, message)
    return Judgement()


def _exited(found: Object, wanted: Object) -> Object | None:
    values, inside = wanted.get("values") or (), wanted.get("operator") == "In"
    for item in [*(found.get("containerStatuses") or ()), *(found.get("initContainerStatuses") or ())]:
        terminated = (item.get("state") or {}).get("terminated")
        if terminated is None or wanted.get("containerName") not in (None, item.get("name")):
            continue
        code = terminated.get("exitCode") or 0
        if code != 0 and (code in values) == inside:
            return dict(item)
    return None


def _condition(found: Object, patterns: Iterable[Object]) -> str | None:
    for item in found.get("conditions") or ():
        for pattern in patterns:
            if (pattern.get("type"), pattern.get("status", "True")) == (item.get("type"), item.get("status")):
                return str(item.get("type"))
    return None


def job_failure(job: Object, pods: Iterable[Object]) -> str | None:
    """The message of the first pod that fails the whole Job."""
    if spec(job).get("podFailurePolicy") is None:
        return None
    return next((said for pod in pods if has_failed(job, pod) and (said := judge(job, pod).message)), None)


def success(job: Object, done: set[int], completions: int) -> str | None:
    """The message of the first rule of the success policy that the completed indexes meet."""
    for number, rule in enumerate((spec(job).get("successPolicy") or {}).get("rules") or ()):
        count, text = rule.get("succeededCount"), rule.get("succeededIndexes")
        among = parse_indexes(text, completions) if text is not None else None
        met = len(done if among is None else done & among)
        if met >= (count if count is not None else len(among or ())) and met > 0:
            return f"Matched rules at index {number}"
    return None


def per_index(job: Object) -> int | None:
    """backoffLimitPerIndex."""
    value = spec(job).get("backoffLimitPerIndex")
    return None if value is None else int(value)


def failures_of(pod: Object) -> tuple[int, int]:
    """(failures that count, ignored failures) of the pod's index before the pod itself."""
    counts = [annotations_of(pod).get(key, "0") for key in (FAILURES, IGNORED)]
    first, second = (int(text) if text.isdecimal() else 0 for text in counts)
    return first, second


def failures_after(job: Object, replaced: Object | None) -> tuple[int, int]:
    """The counts for the pod that takes the place of `replaced`."""
    if replaced is None:
        return 0, 0
    counted, ignored = failures_of(replaced)
    return (counted + 1, ignored) if judge(job, replaced).counted else (counted, ignored + 1)


def index_failed(job: Object, pod: Object) -> bool:
    """Whether the pod's failure is its index's last."""
    limit = per_index(job)
    if limit is None or valid_index(job, pod) is None or not has_failed(job, pod):
        return False
    found = judge(job, pod)
    return found.action == "FailIndex" or (found.counted and failures_of(pod)[0] >= limit)
