"""One object in the words of two versions: HorizontalPodAutoscaler (v1, v2) and Event (core, events.k8s.io). Pure.

Autoscalers are stored as v2. What v1 has no field for travels in annotations, whose names and forms are Kubernetes'
own (the behavior's in capitals, because that is how Kubernetes writes it).
"""

from __future__ import annotations

from typing import Any

import orjson

Object = dict[str, Any]

METRICS = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
ANNOTATIONS = (METRICS, CURRENT, CONDITIONS, BEHAVIOR)
DEFAULT_PERCENT = 80
"""The CPU utilization that an autoscaler without any metric aims at."""

_EVENT_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
"""Fields of core Events, and what events.k8s.io calls them."""
_EVENT_BACK = {new: old for old, new in _EVENT_NAMES.items()}
_EMPTY_IN_CORE: Object = {"source": {}, "firstTimestamp": None, "lastTimestamp": None, "reportingComponent": ""}
"""Core Events always have these; there is nothing to say of them in the other version."""


def event_to_core(obj: Object) -> Object:
    """An Event of events.k8s.io/v1 as one of v1."""
    found = {_EVENT_BACK.get(key, key): value for key, value in obj.items()}
    for key, value in _EMPTY_IN_CORE.items():
        found.setdefault(key, value)
    return {**found, "apiVersion": "v1"}


def event_from_core(obj: Object) -> Object:
    """An Event of v1 as one of events.k8s.io/v1."""
    found = {_EVENT_NAMES.get(key, key): value for key, value in obj.items()}
    for key in ("deprecatedFirstTimestamp", "deprecatedLastTimestamp", "reportingController"):
        if not found.get(key):
            found.pop(key, None)
    return {**found, "apiVersion": "events.k8s.io/v1"}


def autoscaler_to_v2(obj: Object) -> Object:
    """An autoscaling/v1 object as autoscaling/v2."""
    metadata, said = _without_annotations(obj["metadata"])
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    percent = spec.pop("targetCPUUtilizationPercentage", None)
    metrics = [_metric_to_v2(item, "target") for item in _parsed(said, METRICS)]
    if percent is None and not metrics:
        percent = DEFAULT_PERCENT
    if percent is not None:
        target = {"type": "Utilization", "averageUtilization": percent}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    spec["metrics"] = metrics
    if behavior := _parsed(said, BEHAVIOR):
        spec["behavior"] = _recased(behavior, str.lower)
    percent = status.pop("currentCPUUtilizationPercentage", None)
    current = [_metric_to_v2(item, "current") for item in _parsed(said, CURRENT)]
    if percent is not None and not current:
        current = [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}}]
    status |= {"currentMetrics": current} if current else {}
    if conditions := _parsed(said, CONDITIONS):
        status["conditions"] = conditions
    return {**obj, "apiVersion": "autoscaling/v2", "metadata": metadata, "spec": spec, "status": status}


def autoscaler_to_v1(obj: Object) -> Object:
    """An autoscaling/v2 object as autoscaling/v1."""
    metadata, _ = _without_annotations(obj["metadata"])
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    said: Object = {}
    others = []
    for item in spec.pop("metrics", None) or ():
        percent = _cpu(item, "target")
        if percent is not None and "targetCPUUtilizationPercentage" not in spec:
            spec["targetCPUUtilizationPercentage"] = percent
        else:
            others.append(_metric_to_v1(item, "target"))
    if others:
        said[METRICS] = others
    if behavior := spec.pop("behavior", None):
        said[BEHAVIOR] = _recased(behavior, str.upper)
    if current := status.pop("currentMetrics", None):
        said[CURRENT] = [_metric_to_v1(item, "current") for item in current]
        percents = [percent for item in current if (percent := _cpu(item, "current")) is not None]
        if percents:
            status["currentCPUUtilizationPercentage"] = percents[0]
    if conditions := status.pop("conditions", None):
        said[CONDITIONS] = conditions
    status.setdefault("currentReplicas", 0)
    status.setdefault("desiredReplicas", 0)
    if said:
        written = {name: orjson.dumps(value).decode() for name, value in said.items()}
        metadata = {**metadata, "annotations": {**(metadata.get("annotations") or {}), **written}}
    return {**obj, "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}


def _without_annotations(metadata: Object) -> tuple[Object, Object]:
    """The metadata without the annotations that stand for fields, and those."""
    annotations = metadata.get("annotations") or {}
    said = {name: annotations[name] for name in ANNOTATIONS if name in annotations}
    if not said:
        return metadata, {}
    kept = {name: value for name, value in annotations.items() if name not in said}
    rest = {key: value for key, value in metadata.items() if key != "annotations"}
    return ({**rest, "annotations": kept} if kept else rest), said


def _parsed(said: Object, name: str) -> Any:
    """What an annotation holds; nothing where it is not what it should be."""
    try:
        found = orjson.loads(said.get(name) or "null")
    except orjson.JSONDecodeError:
        found = None
    if name == BEHAVIOR:
        return found if isinstance(found, dict) else {}
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _cpu(item: Object, what: str) -> int | None:
    """The utilization of CPU that a metric of v2 is about; None for another metric."""
    body = item.get("resource") or {}
    if item.get("type") != "Resource" or body.get("name") != "cpu":
        return None
    found: int | None = (body.get(what) or {}).get("averageUtilization")
    return found


def _recased(value: Any, case: Any) -> Any:
    """With the first letters of all keys in that case, and without nulls."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if item is not None}
        return {case(key[:1]) + key[1:]: _recased(item, case) for key, item in kept.items()}
    if isinstance(value, list):
        return [_recased(item, case) for item in value]
    return value


_BODIES = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}


def _amounts(kind: str, what: str) -> dict[str, str]:
    """The names in v1 of a metric's amounts, by their names in v2."""
    if kind in ("Resource", "ContainerResource"):
        return {
            "averageUtilization": f"{what}AverageUtilization",
            "averageValue": f"{what}AverageValue",
        }
    if kind == "Object":
        return {"averageValue": "averageValue", "value": f"{what}Value"}
    return {"averageValue": f"{what}AverageValue", "value": f"{what}Value"}


def _metric_to_v1(item: Object, what: str) -> Object:
    kind = str(item.get("type"))
    place = _BODIES.get(kind, "")
    body = item.get(place) or {}
    found = {key: body[key] for key in ("name", "container") if key in body}
    if kind in ("Pods", "Object", "External"):
        metric = body.get("metric") or {}
        found["metricName"] = metric.get("name", "")
        if "selector" in metric:
            found["metricSelector" if kind == "External" else "selector"] = metric["selector"]
    if kind == "Object":
        found["target"] = body.get("describedObject") or {}
    amounts = body.get(what) or {}
    for new, old in _amounts(kind, what).items():
        if new in amounts:
            found[old] = amounts[new]
    return {"type": kind, place: found}


def _metric_to_v2(item: Object, what: str) -> Object:
    kind = str(item.get("type"))
    place = _BODIES.get(kind, "")
    body = item.get(place) or {}
    found = {key: body[key] for key in ("name", "container") if key in body}
    if kind in ("Pods", "Object", "External"):
        found["metric"] = {"name": body.get("metricName", "")}
        selector = body.get("metricSelector" if kind == "External" else "selector")
        if selector is not None:
            found["metric"]["selector"] = selector
    if kind == "Object":
        found["describedObject"] = body.get("target") or {}
    amounts = {new: body[old] for new, old in _amounts(kind, what).items() if old in body}
    if what == "target":
        amounts = {"type": _target_type(amounts), **amounts}
    return {"type": kind, place: {**found, what: amounts}}


def _target_type(amounts: Object) -> str:
    if "averageUtilization" in amounts:
        return "Utilization"
    return "AverageValue" if "averageValue" in amounts else "Value"
