"""Checks of the status of workloads, quotas of disruption and autoscalers: counters that fit together."""

from __future__ import annotations

from collections.abc import Mapping

from ..fielderrors import FieldError, bad
from .checks import Object, not_negative

_SCALED = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
_COUNTERS: Mapping[str, tuple[str, ...]] = {
    "ReplicationController": _SCALED,
    "ReplicaSet": _SCALED,
    "Deployment": (
        "observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas",
        "unavailableReplicas", "terminatingReplicas", "collisionCount",
    ),
    "StatefulSet": (
        "replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas", "observedGeneration",
        "collisionCount",
    ),
    "DaemonSet": (
        "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady", "observedGeneration",
        "updatedNumberScheduled", "numberAvailable", "numberUnavailable", "collisionCount",
    ),
    "HorizontalPodAutoscaler": ("currentReplicas", "desiredReplicas"),
    "PodDisruptionBudget": ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"),
}  # fmt: skip
_OF_ALL: Mapping[str, tuple[str, ...]] = {
    "ReplicationController": ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"),
    "ReplicaSet": ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"),
    "Deployment": ("updatedReplicas", "readyReplicas", "availableReplicas"),
    "StatefulSet": ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"),
}
"""The counters of pods that are never more than all replicas."""


def status(kind: str, new: Object, old: Object) -> list[FieldError]:
    found, before = new.get("status") or {}, old.get("status") or {}
    errors = not_negative(found, "status", *_COUNTERS.get(kind, ()))
    replicas = found.get("replicas") or 0
    for key in _OF_ALL.get(kind, ()):
        if (found.get(key) or 0) > replicas:
            errors.append(bad(f"status.{key}", found.get(key) or 0, "cannot be greater than status.replicas"))
    ready, available = found.get("readyReplicas") or 0, found.get("availableReplicas") or 0
    if kind in _OF_ALL and available > ready:
        of = "status.readyReplicas" if kind == "StatefulSet" else "readyReplicas"
        errors.append(bad("status.availableReplicas", available, f"cannot be greater than {of}"))
    was, now = before.get("collisionCount"), found.get("collisionCount")
    if was is not None and (now is None or now < was):
        errors.append(bad("status.collisionCount", now or 0, "cannot be decremented"))
    return errors
