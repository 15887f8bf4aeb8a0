"""Checks of HorizontalPodAutoscalers: what they scale, by which metrics, how fast (autoscaling/v2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panal import formats
from panal.quantity import parse

from ..fielderrors import FieldError, bad, forbidden, not_supported, required
from .checks import name
from .labelselectors import label_selector
from .meta import path_segment_name
from .resources import container_name

Object = Mapping[str, Any]

_SOURCES = {
    "ContainerResource": "containerResource", "External": "external", "Object": "object", "Pods": "pods",
    "Resource": "resource",
}  # fmt: skip
_ORDER = ("object", "external", "pods", "resource", "containerResource")
_NO_TARGET = {
    "object": "must set either a target value or averageValue",
    "external": "must set either a target value for metric or a per-pod target",
}
_TARGETS = ("Utilization", "Value", "AverageValue")
_LONGEST_WINDOW, _LONGEST_PERIOD = 3600, 1800


def autoscaler(obj: Object) -> list[FieldError]:
    """A HorizontalPodAutoscaler in the words of autoscaling/v2."""
    spec: Object = obj.get("spec") or {}
    errors: list[FieldError] = []
    low, high = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    if low is not None and low < 1:
        errors.append(bad("spec.minReplicas", low, "must be greater than or equal to 1"))
    if high < 1:
        errors.append(required("spec.maxReplicas", "must be set and greater than 0"))
    if low is not None and high < low:
        errors.append(bad("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"))
    errors += _reference(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef")
    return errors + metrics(spec.get("metrics"), "spec.metrics") + behavior(spec.get("behavior"), "spec.behavior")


def _reference(target: Object, where: str) -> list[FieldError]:
    errors = name(target.get("kind"), f"{where}.kind", path_segment_name)
    errors += name(target.get("name"), f"{where}.name", path_segment_name)
    version = target.get("apiVersion", "")
    if "/" not in version and target.get("kind") != "ReplicationController":
        errors.append(bad(f"{where}.apiVersion", version, "apiVersion must specify API group"))
    return errors


def metrics(found: Any, field: str) -> list[FieldError]:
    return [error for index, metric in enumerate(found or ()) for error in _metric(metric, f"{field}[{index}]")]


def _metric(metric: Object, where: str) -> list[FieldError]:
    """Kubernetes tells twice of a type that is none, and checks only the first source of several."""
    kind = metric.get("type", "")
    errors = [] if kind else [required(f"{where}.type", "must specify a metric source type")]
    unknown = [not_supported(f"{where}.type", kind, sorted(_SOURCES))] if kind not in _SOURCES else []
    given = [key for key in _ORDER if metric.get(key) is not None]
    errors += unknown
    if given:
        errors += _source(given[0], metric[given[0]], f"{where}.{given[0]}")
    wanted = _SOURCES.get(kind, "")
    if unknown:
        errors += unknown
    elif wanted not in given:
        errors.append(required(f"{where}.{wanted}", "must populate information for the given metric source"))
    if len(given) != 1:
        words = "must populate the given metric source only"
        errors += [forbidden(f"{where}.{key}", words) for key in given if key != wanted]
    return errors


def _source(key: str, source: Object, where: str) -> list[FieldError]:
    target, at = source.get("target") or {}, f"{where}.target"
    share, amount, value = (target.get(name) for name in ("averageUtilization", "averageValue", "value"))
    errors: list[FieldError] = []
    if key in ("resource", "containerResource"):
        if not source.get("name"):
            errors.append(required(f"{where}.name", "must specify a resource name"))
        if key == "containerResource":
            if source.get("name"):
                errors += container_name(source["name"], f"{where}.name")
            errors += name(
                source.get("container"), f"{where}.container", formats.label_name, "must specify a container"
            )
        errors += _target(target, at)
        if share is None and amount is None:
            words = "must set either a target raw value or a target utilization"
            errors.append(required(f"{at}.averageUtilization", words))
        elif share is not None and amount is not None:
            words = "may not set both a target raw value and a target utilization"
            errors.append(forbidden(f"{at}.averageValue", words))
        return errors
    if key == "object":
        errors += _reference(source.get("describedObject") or {}, f"{where}.describedObject")
    called = (source.get("metric") or {}).get("name")
    errors += name(called, f"{where}.metric.name", path_segment_name, "must specify a metric name")
    errors += label_selector((source.get("metric") or {}).get("selector"), f"{where}.metric.selector")
    errors += _target(target, at)
    if key == "pods":
        if amount is None:
            errors.append(required(f"{at}.averageValue", "must specify a positive target averageValue"))
    elif value is None and amount is None:
        errors.append(required(f"{at}.averageValue", _NO_TARGET[key]))
    elif key == "external" and value is not None and amount is not None:
        words = "may not set both a target value for metric and a per-pod target"
        errors.append(forbidden(f"{at}.value", words))
    return errors


def _target(target: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    kind, share = target.get("type", ""), target.get("averageUtilization")
    if not kind:
        errors.append(required(f"{where}.type", "must specify a metric target type"))
    if kind not in _TARGETS:
        errors.append(bad(f"{where}.type", kind, "must be either Utilization, Value, or AverageValue"))
    if share is not None and share < 1:
        errors.append(bad(f"{where}.averageUtilization", share, "must be greater than 0"))
    return errors + [
        bad(f"{where}.{key}", target[key], "must be positive")
        for key in ("value", "averageValue")
        if target.get(key) is not None and parse(target[key]) <= 0
    ]


def behavior(found: Object | None, field: str) -> list[FieldError]:
    return [
        error
        for key in ("scaleUp", "scaleDown")
        if (found or {}).get(key) is not None
        for error in _rules((found or {})[key], f"{field}.{key}")
    ]


def _rules(rules: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    tolerance = rules.get("tolerance")
    if tolerance is not None and parse(tolerance) < 0:
        errors.append(bad(f"{where}.tolerance", tolerance, "must be greater or equal to zero"))
    window, choice = rules.get("stabilizationWindowSeconds"), rules.get("selectPolicy")
    if window is not None and window < 0:
        words = "must be greater than or equal to zero"
        errors.append(bad(f"{where}.stabilizationWindowSeconds", window, words))
    if window is not None and window > _LONGEST_WINDOW:
        words = f"must be less than or equal to {_LONGEST_WINDOW}"
        errors.append(bad(f"{where}.stabilizationWindowSeconds", window, words))
    if choice is not None and choice not in ("Disabled", "Max", "Min"):
        errors.append(not_supported(f"{where}.selectPolicy", choice, ("Disabled", "Max", "Min")))
    if not rules.get("policies"):
        errors.append(required(f"{where}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(rules.get("policies") or ()):
        errors += _policy(policy, f"{where}.policies[{index}]")
    return errors


def _policy(policy: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    kind, value, period = policy.get("type", ""), policy.get("value", 0), policy.get("periodSeconds", 0)
    if kind not in ("Percent", "Pods"):
        errors.append(not_supported(f"{where}.type", kind, ("Percent", "Pods")))
    if value <= 0:
        errors.append(bad(f"{where}.value", value, "must be greater than zero"))
    if period <= 0:
        errors.append(bad(f"{where}.periodSeconds", period, "must be greater than zero"))
    if period > _LONGEST_PERIOD:
        errors.append(bad(f"{where}.periodSeconds", period, f"must be less than or equal to {_LONGEST_PERIOD}"))
    return errors
