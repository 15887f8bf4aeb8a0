"""A ReplicaSet and the pods around it in; whom to adopt, release, create and delete, and the new status, out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..meta import (
    Object,
    controller_reference,
    is_deleting,
    labels,
    metadata,
    name,
    namespace,
    spec,
    status,
    timestamp,
    with_condition,
    without_condition,
)
from ..pods import deletion_order, from_template, is_active, is_available, is_ready, is_terminal

BURST = 500
"""Most pods created or deleted in one go."""


@dataclass(frozen=True)
class Plan:
    """Pods to create (how many) and pods to delete. At most one of the two."""

    create: int = 0
    delete: tuple[Object, ...] = ()


def replicas(owner: Object) -> int:
    value = spec(owner).get("replicas")
    return 1 if value is None else int(value)


def plan(owner: Object, pods: Sequence[Object], related: Sequence[Object], now: float) -> Plan:
    """What brings the owner's `pods` to the wanted number. `related` are pods of all sets of the same Deployment."""
    if is_deleting(owner):
        return Plan()
    active = [pod for pod in pods if is_active(pod)]
    difference = replicas(owner) - len(active)
    if difference > 0:
        return Plan(create=min(difference, BURST))
    if difference == 0:
        return Plan()
    crowd = [pod for pod in related if is_active(pod)] or active
    return Plan(delete=tuple(deletion_order(active, crowd, now)[: min(-difference, BURST)]))


def new_pod(owner: Object, api_version: str, kind: str) -> Object:
    return from_template(
        spec(owner).get("template") or {},
        namespace=namespace(owner),
        owner=controller_reference(owner, api_version, kind),
        prefix=f"{name(owner)}-",
    )


def new_status(owner: Object, pods: Sequence[Object], now: float, failure: tuple[str, str] | None = None) -> Object:
    """The status after a look at `pods`; `failure` is (reason, message) of a refused creation or deletion."""
    active = [pod for pod in pods if is_active(pod)]
    wanted = (metadata(spec(owner).get("template") or {}).get("labels") or {}).items()
    min_ready = spec(owner).get("minReadySeconds") or 0
    counts = {
        "fullyLabeledReplicas": sum(wanted <= labels(pod).items() for pod in active),
        "readyReplicas": sum(is_ready(pod) for pod in active),
        "availableReplicas": sum(is_available(pod, min_ready, now) for pod in active),
    }
    out: Object = {"replicas": len(active), "observedGeneration": metadata(owner).get("generation") or 0}
    out.update({field: count for field, count in counts.items() if count})
    out["terminatingReplicas"] = sum(is_deleting(pod) and not is_terminal(pod) for pod in pods)
    if conditions := _conditions(owner, len(active), now, failure):
        out["conditions"] = conditions
    return out


def _conditions(owner: Object, active: int, now: float, failure: tuple[str, str] | None) -> list[Object]:
    conditions = status(owner).get("conditions") or []
    if failure is None:
        return without_condition(conditions, "ReplicaFailure")
    reason, message = failure
    return with_condition(
        conditions,
        {
            "type": "ReplicaFailure",
            "status": "True",
            "lastTransitionTime": timestamp(now),
            "reason": reason,
            "message": message,
        },
    )
