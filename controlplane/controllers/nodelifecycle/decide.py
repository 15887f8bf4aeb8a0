"""A node's health as its Lease and status tell it: conditions, taints and evictions that follow. Pure.

https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...scheduler.matching import tolerates
from ..meta import Object, condition, spec, status, timestamp

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
PRESSURES: Mapping[str, tuple[str, str]] = {
    "MemoryPressure": ("node.kubernetes.io/memory-pressure", "True"),
    "DiskPressure": ("node.kubernetes.io/disk-pressure", "True"),
    "PIDPressure": ("node.kubernetes.io/pid-pressure", "True"),
    "NetworkUnavailable": ("node.kubernetes.io/network-unavailable", "True"),
}
"""Condition -> (taint, the condition's status that brings it)."""
OWN_TAINTS = frozenset({NOT_READY, UNREACHABLE, UNSCHEDULABLE, *(taint for taint, _ in PRESSURES.values())})
REPORTED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
"""Conditions that become Unknown when the kubelet falls silent."""


@dataclass(frozen=True)
class Heard:
    """The last sign of life: when it was noticed here (this process's clock) and what it was."""

    at: float
    renewed: str
    """renewTime of the Lease."""
    reported: str
    """lastHeartbeatTime of the Ready condition."""


def hear(before: Heard | None, node: Object, lease: Object | None, now: float) -> Heard:
    """Whether the node has given a new sign of life since `before`. Clocks of nodes are compared with themselves
    only.
    """
    renewed = str((lease or {}).get("spec", {}).get("renewTime") or "")
    ready = condition(status(node).get("conditions"), "Ready") or {}
    reported = str(ready.get("lastHeartbeatTime") or "")
    if ready.get("reason") in ("NodeStatusUnknown", "NodeStatusNeverUpdated"):
        reported = before.reported if before else ""
    if before is not None and (before.renewed, before.reported) == (renewed, reported):
        return before
    return Heard(now, renewed, reported)


def silence(node: Object, heard: Heard, grace: float, now: float) -> list[Object] | None:
    """The conditions of a node that has been silent for longer than `grace`; None while nothing changes."""
    if now - heard.at < grace:
        return None
    conditions: list[Object] = list(status(node).get("conditions") or ())
    changed = False
    for kind in REPORTED:
        found = condition(conditions, kind)
        if found is None:
            new = _unknown(kind, "NodeStatusNeverUpdated", "Kubelet never posted node status.", None, now)
            conditions.append(new)
            changed = True
        elif found.get("status") != "Unknown":
            new = _unknown(kind, "NodeStatusUnknown", "Kubelet stopped posting node status.", found, now)
            conditions = [new if item.get("type") == kind else item for item in conditions]
            changed = True
    return conditions if changed else None


def _unknown(kind: str, reason: str, message: str, before: Object | None, now: float) -> Object:
    heartbeat = (before or {}).get("lastHeartbeatTime")
    return {
        "type": kind,
        "status": "Unknown",
        **({"lastHeartbeatTime": heartbeat} if heartbeat else {}),
        "lastTransitionTime": timestamp(now),
        "reason": reason,
        "message": message,
    }


def is_given_up(node: Object) -> bool:
    """Whether its pods have been told to leave because it is not ready."""
    taints = spec(node).get("taints") or ()
    return any(item.get("key") in (NOT_READY, UNREACHABLE) and item.get("effect") == "NoExecute" for item in taints)


def wanted_taints(node: Object, now: float, *, given_up: bool = True) -> list[Object]:
    """The node's taints, with those this controller keeps brought up to date; foreign ones stay as they are.

    A node that is not ready takes no new pods at once; its pods are told to leave only when it is `given_up`.
    """
    current: Sequence[Object] = spec(node).get("taints") or []
    wanted = [item for item in _own(node) if given_up or item[1] != "NoExecute"]
    kept = [
        item for item in current if item.get("key") not in OWN_TAINTS or (item.get("key"), item.get("effect")) in wanted
    ]
    have = {(item.get("key"), item.get("effect")) for item in kept}
    at = timestamp(now)
    return kept + [
        {"key": key, "effect": effect, "timeAdded": at} for key, effect in wanted if (key, effect) not in have
    ]


def _own(node: Object) -> list[tuple[str, str]]:
    conditions = status(node).get("conditions")
    found: list[tuple[str, str]] = []
    ready = (condition(conditions, "Ready") or {}).get("status")
    if ready != "True":
        key = UNREACHABLE if ready == "Unknown" else NOT_READY
        found += [(key, "NoSchedule"), (key, "NoExecute")] if ready else [(key, "NoSchedule")]
    for kind, (taint, bad) in PRESSURES.items():
        if (condition(conditions, kind) or {}).get("status") == bad:
            found.append((taint, "NoSchedule"))
    if spec(node).get("unschedulable"):
        found.append((UNSCHEDULABLE, "NoSchedule"))
    return found


def is_ready(node: Object) -> bool:
    return (condition(status(node).get("conditions"), "Ready") or {}).get("status") == "True"


def unready_pod(pod: Object, now: float) -> Object | None:
    """The pod's status with Ready False, as its node cannot say it; None if it does not claim to be ready."""
    found = condition(status(pod).get("conditions"), "Ready")
    if found is None or found.get("status") != "True":
        return None
    new = {**found, "status": "False", "lastTransitionTime": timestamp(now)}
    rest = [new if item.get("type") == "Ready" else item for item in status(pod)["conditions"]]
    return {**status(pod), "conditions": rest}


def eviction_after(pod: Object, taints: Sequence[Object], since: Mapping[str, float], now: float) -> float | None:
    """Seconds until the pod must leave because of NoExecute taints; 0 for at once, None for never.

    `since` says when each taint (by key) was first seen.
    """
    tolerations = spec(pod).get("tolerations") or []
    used: list[tuple[float, float]] = []
    for taint in taints:
        if taint.get("effect") != "NoExecute":
            continue
        matching = [item for item in tolerations if tolerates(item, taint)]
        if not matching:
            return 0.0
        limits = [float(item["tolerationSeconds"]) for item in matching if item.get("tolerationSeconds") is not None]
        if limits:
            used.append((since.get(str(taint.get("key")), now), min(limits)))
    if not used:
        return None
    return max(0.0, min(start + max(limit, 0.0) for start, limit in used) - now)
