"""Checks of a HorizontalPodAutoscaler's metrics and behavior (autoscaling/v2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panal.quantity import parse

from ..fielderrors import FieldError, bad, forbidden, not_supported, required

Object = Mapping[str, Any]

_SOURCES = {
    "ContainerResource": "containerResource", "External": "external", "Object": "object", "Pods": "pods",
    "Resource": "resource",
}  # fmt: skip
_TARGETS = ("Utilization", "Value", "AverageValue")
_LONGEST_WINDOW, _LONGEST_PERIOD = 3600, 1800


def metrics(found: Any, field: str) -> list[FieldError]:
    return [error for index, metric in enumerate(found or ()) for error in _metric(metric, f"{field}[{index}]")]


def _metric(metric: Object, where: str) -> list[FieldError]:
    kind = metric.get("type", "")
    if not kind:
        return [required(f"{where}.type", "must specify a metric source type")]
    if kind not in _SOURCES:
        return [not_supported(f"{where}.type", kind, sorted(_SOURCES))]
    wanted = _SOURCES[kind]
    errors = [
        forbidden(f"{where}.{key}", "must populate the given metric source only")
        for key in _SOURCES.values()
        if key != wanted and metric.get(key) is not None
    ]
    source = metric.get(wanted)
    if source is None:
        return [*errors, required(f"{where}.{wanted}", "must populate information for the given metric source")]
    if wanted in ("resource", "containerResource"):
        errors += _resource(source, f"{where}.{wanted}", container=wanted == "containerResource")
    elif not (source.get("metric") or {}).get("name"):
        errors.append(required(f"{where}.{wanted}.metric.name", "must specify a metric name"))
    return errors + _target(source.get("target") or {}, f"{where}.{wanted}.target")


def _resource(source: Object, where: str, *, container: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    if not source.get("name"):
        errors.append(required(f"{where}.name", "must specify a resource name"))
    if container and not source.get("container"):
        errors.append(required(f"{where}.container", "must specify a container"))
    target = source.get("target") or {}
    share, amount = target.get("averageUtilization"), target.get("averageValue")
    if share is None and amount is None:
        words = "must set either a target raw value or a target utilization"
        errors.append(required(f"{where}.target.averageUtilization", words))
    elif share is not None and amount is not None:
        words = "may not set both a target raw value and a target utilization"
        errors.append(forbidden(f"{where}.target.averageValue", words))
    return errors


def _target(target: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    kind, share = target.get("type", ""), target.get("averageUtilization")
    if not kind:
        errors.append(required(f"{where}.type", "must specify a metric target type"))
    elif kind not in _TARGETS:
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
