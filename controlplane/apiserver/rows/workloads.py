"""Rows of apps, batch, autoscaling and policy."""

from __future__ import annotations

from typing import Any

from .. import ages
from .cells import NONE, Object, Row, age, containers, labels, name, selector, truth


def _parts(obj: Object) -> tuple[Object, Object]:
    return obj.get("spec") or {}, obj.get("status") or {}


def deployment(obj: Object, now: float) -> list[Any]:
    spec, status = _parts(obj)
    return [
        name(obj),
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age(obj, now),
        *containers(spec.get("template") or {}),
        selector(spec.get("selector")),
    ]


def replica_set(obj: Object, now: float) -> list[Any]:
    spec, status = _parts(obj)
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [
        name(obj), *counts, age(obj, now), *containers(spec.get("template") or {}), selector(spec.get("selector"))
    ]  # fmt: skip


def daemon_set(obj: Object, now: float) -> list[Any]:
    spec, status = _parts(obj)
    template = spec.get("template") or {}
    return [
        name(obj),
        status.get("desiredNumberScheduled", 0),
        status.get("currentNumberScheduled", 0),
        status.get("numberReady", 0),
        status.get("updatedNumberScheduled", 0),
        status.get("numberAvailable", 0),
        labels((template.get("spec") or {}).get("nodeSelector")),
        age(obj, now),
        *containers(template),
        selector(spec.get("selector")),
    ]


def stateful_set(obj: Object, now: float) -> list[Any]:
    spec, status = _parts(obj)
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [name(obj), ready, age(obj, now), *containers(spec.get("template") or {})]


def controller_revision(obj: Object, now: float) -> list[Any]:
    owner = next((each for each in obj["metadata"].get("ownerReferences") or () if each.get("controller")), None)
    controller = NONE
    if owner is not None:
        group = owner["apiVersion"].rpartition("/")[0]
        kind = owner["kind"].lower()
        controller = f"{kind}.{group}/{owner['name']}" if group else f"{kind}/{owner['name']}"
    return [name(obj), controller, obj.get("revision", 0), age(obj, now)]


def job(obj: Object, now: float) -> list[Any]:
    spec, status = _parts(obj)
    return [
        name(obj),
        _job_status(obj, status),
        _completions(spec, status),
        _duration(status, now),
        age(obj, now),
        *containers(spec.get("template") or {}),
        selector(spec.get("selector")),
    ]


def _job_status(obj: Object, status: Object) -> str:
    true = {each["type"] for each in status.get("conditions") or () if each["status"] == "True"}
    for condition, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if condition in true:
            return word
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for condition, word in (
        ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"),
        ("SuccessCriteriaMet", "SuccessCriteriaMet"),
    ):
        if condition in true:
            return word
    return "Running"


def _completions(spec: Object, status: Object) -> str:
    succeeded = status.get("succeeded", 0)
    if spec.get("completions") is not None:
        return f"{succeeded}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 0
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _duration(status: Object, now: float) -> str:
    if not status.get("startTime"):
        return ""
    end = ages.parse(status["completionTime"]) if status.get("completionTime") else now
    return ages.human(end - ages.parse(status["startTime"]))


def cron_job(obj: Object, now: float) -> list[Any]:
    spec, status = _parts(obj)
    job_spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    last = status.get("lastScheduleTime")
    return [
        name(obj),
        spec.get("schedule", ""),
        spec.get("timeZone") or NONE,
        truth(spec.get("suspend")),
        len(status.get("active") or ()),
        ages.since(last, now) if last else NONE,
        age(obj, now),
        *containers(job_spec.get("template") or {}),
        selector(job_spec.get("selector")),
    ]


def autoscaler(obj: Object, now: float) -> list[Any]:
    spec, status = _parts(obj)
    target = spec.get("scaleTargetRef") or {}
    return [
        name(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        _targets(spec, status),
        str(spec["minReplicas"]) if spec.get("minReplicas") is not None else "<unset>",
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        age(obj, now),
    ]


def _targets(spec: Object, status: Object) -> str:
    if "targetCPUUtilizationPercentage" in spec:
        current = status.get("currentCPUUtilizationPercentage")
        return f"cpu: {'<unknown>' if current is None else f'{current}%'}/{spec['targetCPUUtilizationPercentage']}%"
    metrics, current = spec.get("metrics") or (), status.get("currentMetrics") or ()
    shown = [_metric(metric, current[index] if index < len(current) else {}) for index, metric in enumerate(metrics)]
    if not shown:
        return NONE
    return ", ".join(shown[:2]) + (f" + {len(shown) - 2} more..." if len(shown) > 2 else "")


def _metric(metric: Object, current: Object) -> str:
    kind = metric.get("type", "")
    field = kind[:1].lower() + kind[1:]
    wanted: Object = (metric.get(field) or {}).get("target") or {}
    now: Object = (current.get(field) or {}).get("current") or {}
    suffix = ""
    if wanted.get("averageUtilization") is not None:
        found = now.get("averageUtilization")
        text = f"{'<unknown>' if found is None else f'{found}%'}/{wanted['averageUtilization']}%"
    elif wanted.get("averageValue") is not None:
        suffix = "" if kind in ("Resource", "ContainerResource", "Pods") else " (avg)"
        text = f"{now.get('averageValue') or '<unknown>'}/{wanted['averageValue']}{suffix}"
    else:
        text = f"{now.get('value') or '<unknown>'}/{wanted.get('value', '<auto>')}"
    named = (metric.get(field) or {}).get("name")
    return f"{named}: {text}" if kind in ("Resource", "ContainerResource") and named else text


def disruption_budget(obj: Object, now: float) -> list[Any]:
    spec, status = _parts(obj)
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    return [
        name(obj),
        "N/A" if least is None else str(least),
        "N/A" if most is None else str(most),
        status.get("disruptionsAllowed", 0),
        age(obj, now),
    ]


WORKLOADS: dict[tuple[str, str], Row] = {
    ("apps", "deployments"): deployment,
    ("apps", "replicasets"): replica_set,
    ("apps", "daemonsets"): daemon_set,
    ("apps", "statefulsets"): stateful_set,
    ("apps", "controllerrevisions"): controller_revision,
    ("batch", "jobs"): job,
    ("batch", "cronjobs"): cron_job,
    ("autoscaling", "horizontalpodautoscalers"): autoscaler,
    ("policy", "poddisruptionbudgets"): disruption_budget,
}
