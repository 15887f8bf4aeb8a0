"""A HorizontalPodAutoscaler, its target's size, pods and metrics in; the new size, status and events out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from panal.quantity import format_milli, milli

from ..meta import Object, metadata, spec, status, timestamp, with_condition
from .behavior import Memory, limit, minimum, tolerance
from .utilization import Proposal, Unknown, by_amount, by_percent, measurements

Event = tuple[str, str, str]
"""(type, reason, message)"""

NO_API = {
    "Pods": ("FailedGetPodsMetric", "failed to get pods metric value: unable to get metric {}: {}"),
    "Object": ("FailedGetObjectMetric", "failed to get object metric value: unable to get metric {}: {}"),
    "External": ("FailedGetExternalMetric", "unable to get external metric {}: {}"),
}
"""Sources that need an API of custom or external metrics, of which there is none."""


@dataclass(frozen=True)
class Target:
    """The scale of what is scaled, its pods, and their PodMetrics; `problem` says why there are none."""

    replicas: int
    pods: Sequence[Object] = ()
    metrics: Sequence[Object] = ()
    problem: str = ""


@dataclass
class Plan:
    status: Object
    replicas: int | None = None
    """The size to write; None for no change."""
    reason: str = ""
    """Why, as the event of the change says it."""
    events: list[Event] = field(default_factory=list)


def sources(hpa: Object) -> list[Object]:
    """The metrics; the API server gives an object of autoscaling/v2 one at least."""
    return list(spec(hpa).get("metrics") or ())


def said(old: Object, kind: str, value: str, reason: str, message: str, now: float) -> Object:
    """The status with one condition renewed."""
    new = {
        "type": kind,
        "status": value,
        "lastTransitionTime": timestamp(now),
        "reason": reason,
        "message": message,
    }
    before = [item for item in old.get("conditions") or ()]
    same = [item for item in before if item.get("type") == kind]
    if same and same[0].get("status") == value:
        new["lastTransitionTime"] = same[0].get("lastTransitionTime", new["lastTransitionTime"])
        return {**old, "conditions": [new if item.get("type") == kind else item for item in before]}
    return {**old, "conditions": with_condition(before, new)}


def no_scale(hpa: Object, problem: str, now: float) -> Plan:
    """The target cannot be read."""
    message = f"the HPA controller was unable to get the target's current scale: {problem}"
    out = said(status(hpa), "AbleToScale", "False", "FailedGetScale", message, now)
    return Plan(out, events=[("Warning", "FailedGetScale", problem)])


def plan(hpa: Object, target: Target, memory: Memory, now: float) -> Plan:
    """`memory` is brought up to date."""
    memory.forget(now - 3600)
    current = target.replicas
    out = {key: value for key, value in status(hpa).items() if key != "currentMetrics"}
    message = "the HPA controller was able to get the target's current scale"
    out = said(out, "AbleToScale", "True", "SucceededGetScale", message, now)
    most, least = int(spec(hpa).get("maxReplicas") or 1), minimum(hpa)
    if current == 0 and least != 0:
        message = "scaling is disabled since the replica count of the target is zero"
        out = said(out, "ScalingActive", "False", "ScalingDisabled", message, now)
        return Plan(_counts(hpa, out, 0, 0))
    if current > most:
        return _to(hpa, out, current, most, "Current number of replicas above Spec.MaxReplicas")
    if current < least:
        return _to(hpa, out, current, least, "Current number of replicas below Spec.MinReplicas")
    return _by_metrics(hpa, target, memory, out, now)


def _to(hpa: Object, out: Object, current: int, size: int, reason: str) -> Plan:
    return Plan(_counts(hpa, out, current, size), size if size != current else None, reason)


def _counts(hpa: Object, out: Object, current: int, desired: int) -> Object:
    generation = metadata(hpa).get("generation")
    seen = {"observedGeneration": generation} if generation else {}
    return {**out, **seen, "currentReplicas": current, "desiredReplicas": desired}


def _by_metrics(hpa: Object, target: Target, memory: Memory, out: Object, now: float) -> Plan:
    current, wanted, metric = target.replicas, 0, ""
    events: list[Event] = []
    problems: list[tuple[str, str]] = []
    measured: list[Object] = []
    everything = sources(hpa)
    for source in everything:
        try:
            found, name, current_value = _propose(hpa, source, target, now)
        except Unknown as problem:
            reason, message = _failure(source, str(problem))
            problems.append((reason, message))
            events.append(("Warning", reason, message))
            continue
        measured.append(current_value)
        if found.replicas > wanted or not metric:
            wanted, metric = found.replicas, name
    if measured:
        out = {**out, "currentMetrics": measured}
    if problems and (not measured or wanted < current):
        reason, message = problems[0]
        told = f"the HPA was unable to compute the replica count: {message}"
        out = said(out, "ScalingActive", "False", reason, told, now)
        count = f"invalid metrics ({len(problems)} invalid out of {len(everything)}), first error is: {message}"
        events.append(("Warning", "FailedComputeMetricsReplicas", count))
        desired = int(out.get("desiredReplicas") or 0)
        return Plan(_counts(hpa, out, current, desired), events=events)
    message = f"the HPA was able to successfully calculate a replica count from {metric}"
    out = said(out, "ScalingActive", "True", "ValidMetricFound", message, now)
    outcome = limit(hpa, current, wanted, memory, now)
    out = said(out, "AbleToScale", *outcome.able, now)
    out = said(out, "ScalingLimited", *outcome.limited, now)
    reason = f"{metric} above target" if outcome.replicas > current else "All metrics below target"
    found_plan = _to(hpa, out, current, outcome.replicas, reason)
    found_plan.events = events
    return found_plan


def _failure(source: Object, problem: str) -> tuple[str, str]:
    kind = str(source.get("type"))
    if kind in NO_API:
        return NO_API[kind][0], problem
    inner, field_name = _inner(source)
    reason = "FailedGetContainerResourceMetric" if kind == "ContainerResource" else "FailedGetResourceMetric"
    what = "utilization" if (inner.get("target") or {}).get("type") == "Utilization" else "usage"
    assert field_name
    return reason, f"failed to get {inner.get('name')} {what}: {problem}"


def _inner(source: Object) -> tuple[Object, str]:
    name = "containerResource" if source.get("type") == "ContainerResource" else "resource"
    return source.get(name) or {}, name


def _propose(hpa: Object, source: Object, target: Target, now: float) -> tuple[Proposal, str, Object]:
    """(proposal, the metric's name in messages, its status). Raises Unknown."""
    kind = str(source.get("type"))
    if kind in NO_API:
        inner = source.get(kind.lower()) or {}
        metric = (inner.get("metric") or {}).get("name")
        raise Unknown(NO_API[kind][1].format(metric, "the server could not find the requested resource"))
    inner, where = _inner(source)
    resource, container = str(inner.get("name")), str(inner.get("container") or "")
    if target.problem:
        raise Unknown(f"unable to get metrics for resource {resource}: {target.problem}")
    measured = measurements(target.metrics, resource, container)
    wanted: Mapping[str, object] = inner.get("target") or {}
    allowed = tolerance(hpa)
    if wanted.get("averageValue") is not None:
        amount = milli(str(wanted["averageValue"]))
        found = by_amount(target.replicas, amount, target.pods, measured, resource, allowed, now)
        name = f"{resource} resource"
    else:
        percent = int(str(wanted.get("averageUtilization") or 80))
        found = by_percent(target.replicas, percent, target.pods, measured, resource, container, allowed, now)
        name = f"{resource} resource utilization (percentage of request)"
    value: Object = {"averageValue": _amount(resource, found.average)}
    if found.percent is not None:
        value["averageUtilization"] = found.percent
    told: Object = {"name": resource, "current": value}
    if container:
        told["container"] = container
    return found, name, {"type": kind, where: told}


def _amount(resource: str, thousandths: int) -> str:
    return format_milli(thousandths) if resource == "cpu" or thousandths % 1000 else str(thousandths // 1000)


def scaled(found: Plan, memory: Memory, current: int, now: float) -> Plan:
    """After the new size was written."""
    assert found.replicas is not None
    memory.changes.append((now, found.replicas - current))
    message = f"the HPA controller was able to update the target scale to {found.replicas}"
    out = said(found.status, "AbleToScale", "True", "SucceededRescale", message, now)
    event = ("Normal", "SuccessfulRescale", f"New size: {found.replicas}; reason: {found.reason}")
    return Plan({**out, "lastScaleTime": timestamp(now)}, events=[*found.events, event])


def not_scaled(found: Plan, hpa: Object, current: int, problem: str, now: float) -> Plan:
    message = f"the HPA controller was unable to update the target scale: {problem}"
    out = said(found.status, "AbleToScale", "False", "FailedUpdateScale", message, now)
    event = ("Warning", "FailedRescale", f"New size: {found.replicas}; reason: {found.reason}; error: {problem}")
    return Plan(_counts(hpa, out, current, current), events=[*found.events, event])
