"""A Deployment's status: counts, and the conditions that `kubectl rollout status` waits for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..meta import (
    Object,
    condition,
    is_deleting,
    metadata,
    name,
    parse_time,
    spec,
    status,
    timestamp,
    with_condition,
    without_condition,
)
from .rolling import desired, limits

NO_DEADLINE = 2**31 - 1
"""A progressDeadlineSeconds that says: never."""


def has_deadline(deployment: Object) -> bool:
    return spec(deployment).get("progressDeadlineSeconds") not in (None, NO_DEADLINE)


def progressing(value: str, reason: str, message: str, now: float) -> Object:
    return _condition("Progressing", value, reason, message, now)


def _condition(kind: str, value: str, reason: str, message: str, now: float) -> Object:
    at = timestamp(now)
    return {
        "type": kind,
        "status": value,
        "lastUpdateTime": at,
        "lastTransitionTime": at,
        "reason": reason,
        "message": message,
    }


def counted(deployment: Object, new: Object | None, old: Sequence[Object], now: float) -> Object:
    """The status with counts and the Available condition renewed; other conditions as they were."""
    sets = [*([new] if new else []), *old]
    total = {field: sum(int(status(rs).get(field) or 0) for rs in sets) for field in FIELDS}
    counts = {
        "replicas": total["replicas"],
        "updatedReplicas": int(status(new).get("replicas") or 0) if new else 0,
        "readyReplicas": total["readyReplicas"],
        "availableReplicas": total["availableReplicas"],
        "unavailableReplicas": max(0, sum(desired(rs) for rs in sets) - total["availableReplicas"]),
    }
    out: Object = {"observedGeneration": metadata(deployment).get("generation") or 0}
    out.update({field: count for field, count in counts.items() if count})
    out["terminatingReplicas"] = total["terminatingReplicas"]
    if (collisions := status(deployment).get("collisionCount")) is not None:
        out["collisionCount"] = collisions
    limit = limits(deployment)
    if total["availableReplicas"] >= limit.replicas - limit.unavailable:
        said = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        said = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    out["conditions"] = with_condition(status(deployment).get("conditions"), _condition("Available", *said, now))
    return out


FIELDS = ("replicas", "readyReplicas", "availableReplicas", "terminatingReplicas")


def is_complete(deployment: Object, new_status: Object) -> bool:
    wanted = desired(deployment)
    observed = new_status.get("observedGeneration") or 0
    counts = [new_status.get(field) or 0 for field in ("updatedReplicas", "replicas", "availableReplicas")]
    return counts == [wanted] * 3 and observed >= (metadata(deployment).get("generation") or 0)


def is_moving(deployment: Object, new_status: Object) -> bool:
    """More updated, ready or available pods than before, or fewer old ones."""
    before, after = status(deployment), new_status

    def old_pods(one: Object) -> int:
        return int(one.get("replicas") or 0) - int(one.get("updatedReplicas") or 0)

    grown = any(
        (after.get(field) or 0) > (before.get(field) or 0)
        for field in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    return grown or old_pods(after) < old_pods(before)


def timed_out(deployment: Object, current: Object | None, now: float) -> bool:
    if current is None or current.get("reason") == "NewReplicaSetAvailable":
        return False
    if current.get("reason") == "ProgressDeadlineExceeded":
        return True
    since = parse_time(current.get("lastUpdateTime"))
    return since is not None and since + spec(deployment)["progressDeadlineSeconds"] < now


def rollout_status(
    deployment: Object, new: Object | None, old: Sequence[Object], now: float, conditions: list[Object] | None = None
) -> Object:
    """The whole new status during a rollout. `conditions` replaces those the Deployment has, where one was just
    added.
    """
    if conditions is not None:
        deployment = {**deployment, "status": {**status(deployment), "conditions": conditions}}
    out = counted(deployment, new, old, now)
    current = condition(status(deployment).get("conditions"), "Progressing")
    settled = (
        (out.get("replicas") or 0) == (out.get("updatedReplicas") or 0)
        and current is not None
        and current.get("reason") == "NewReplicaSetAvailable"
    )
    if not has_deadline(deployment):
        out["conditions"] = without_condition(out["conditions"], "Progressing")
    elif not settled:
        out["conditions"] = _progress(deployment, new, out, current, now)
    failure = _failure(new, old)
    if failure is not None:
        out["conditions"] = with_condition(out["conditions"], {**failure, "lastUpdateTime": timestamp(now)})
    else:
        out["conditions"] = without_condition(out["conditions"], "ReplicaFailure")
    return out


def _progress(deployment: Object, new: Object | None, out: Object, current: Object | None, now: float) -> list[Object]:
    subject = f'ReplicaSet "{name(new)}"' if new else f'Deployment "{name(deployment)}"'
    conditions: list[Object] = out["conditions"]
    if is_complete(deployment, out):
        said = progressing("True", "NewReplicaSetAvailable", f"{subject} has successfully progressed.", now)
        return with_condition(conditions, said)
    if is_moving(deployment, out):
        said = progressing("True", "ReplicaSetUpdated", f"{subject} is progressing.", now)
        if current is not None and current.get("status") == "True":
            said["lastTransitionTime"] = current.get("lastTransitionTime") or said["lastTransitionTime"]
        return [*without_condition(conditions, "Progressing"), said]
    if timed_out(deployment, current, now):
        said = progressing("False", "ProgressDeadlineExceeded", f"{subject} has timed out progressing.", now)
        return with_condition(conditions, said)
    return conditions


def _failure(new: Object | None, old: Sequence[Object]) -> Object | None:
    for rs in [*([new] if new else []), *old]:
        if (found := condition(status(rs).get("conditions"), "ReplicaFailure")) is not None:
            return {**found, "type": "ReplicaFailure"}
    return None


def look_again(deployment: Object, new_status: Object, now: float) -> float | None:
    """Seconds until the progress deadline could have passed; None when nothing waits for it."""
    current = condition(new_status.get("conditions"), "Progressing")
    if not has_deadline(deployment) or current is None or is_complete(deployment, new_status):
        return None
    if current.get("reason") in ("ProgressDeadlineExceeded", "NewReplicaSetAvailable"):
        return None
    since = parse_time(current.get("lastUpdateTime"))
    if since is None:
        return None
    return max(since + int(spec(deployment)["progressDeadlineSeconds"]) - now, 0) + 1


def pause_condition(deployment: Object, now: float) -> Object | None:
    """The condition that a pause or its end adds, if it is not there yet."""
    if not has_deadline(deployment):
        return None
    current: dict[str, Any] | None = condition(status(deployment).get("conditions"), "Progressing")
    if current is not None and current.get("reason") == "ProgressDeadlineExceeded":
        return None
    was_paused = current is not None and current.get("reason") == "DeploymentPaused"
    paused = bool(spec(deployment).get("paused")) and not is_deleting(deployment)
    if paused and not was_paused:
        return progressing("Unknown", "DeploymentPaused", "Deployment is paused", now)
    if not paused and was_paused:
        return progressing("Unknown", "DeploymentResumed", "Deployment is resumed", now)
    return None
