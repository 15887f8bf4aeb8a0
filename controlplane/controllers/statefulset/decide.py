"""A StatefulSet and its pods in; the next pods to create and delete, and the status, out. Pure.

https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/ (deployment and scaling guarantees, update
strategies)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..meta import (
    Object,
    controller_reference,
    is_deleting,
    labels,
    metadata,
    name,
    namespace,
    scaled_value,
    spec,
    status,
)
from ..pods import from_template, is_available, is_ready, phase
from ..revisions import HASH

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"
REVISION_HASH = "controller.kubernetes.io/hash"


@dataclass(frozen=True)
class Revisions:
    """The revision that was rolled out last, and the one of the present template. Equal when nothing is going on."""

    current: Object
    update: Object


@dataclass(frozen=True)
class Plan:
    create: tuple[int, ...] = ()
    """Ordinals."""
    delete: tuple[Object, ...] = ()


def replicas(owner: Object) -> int:
    value = spec(owner).get("replicas")
    return 1 if value is None else int(value)


def ordinals(owner: Object) -> range:
    start = int((spec(owner).get("ordinals") or {}).get("start") or 0)
    return range(start, start + replicas(owner))


def ordinal(owner: Object, pod: Object) -> int | None:
    """The pod's place in the set; None for a pod whose name is not of the set's form."""
    prefix, _, number = name(pod).rpartition("-")
    return int(number) if prefix == name(owner) and number.isdecimal() else None


def is_named_for(owner: Object, pod: Object) -> bool:
    """Only a pod named as one of the set's may be adopted."""
    return ordinal(owner, pod) is not None


def is_healthy(pod: Object) -> bool:
    return phase(pod) == "Running" and is_ready(pod) and not is_deleting(pod)


def plan(owner: Object, pods: Sequence[Object], revisions: Revisions, now: float) -> Plan:
    """The next step. With the policy OrderedReady one pod at a time changes, and only while all before it are
    healthy.
    """
    if is_deleting(owner):
        return Plan()
    placed = {number: pod for pod in pods if (number := ordinal(owner, pod)) is not None}
    wanted = ordinals(owner)
    one_by_one = spec(owner).get("podManagementPolicy", "OrderedReady") == "OrderedReady"
    ready_for = int(spec(owner).get("minReadySeconds") or 0)
    create: list[int] = []
    delete: list[Object] = []
    for number in wanted:
        pod = placed.get(number)
        if pod is None:
            create.append(number)
        elif phase(pod) in ("Failed", "Succeeded"):
            if not is_deleting(pod):
                delete.append(pod)
        elif not one_by_one or (is_healthy(pod) and is_available(pod, ready_for, now)):
            continue
        if one_by_one:
            return Plan(tuple(create), tuple(delete))
    condemned = [placed[number] for number in sorted(placed, reverse=True) if number not in wanted]
    if condemned and one_by_one:
        if any(is_deleting(pod) for pod in condemned) or _halts(condemned, ready_for, now):
            return Plan()
        return Plan(delete=(condemned[0],))
    delete += [pod for pod in condemned if not is_deleting(pod)]
    if create or delete:
        return Plan(tuple(create), tuple(delete))
    return Plan(delete=_outdated(owner, [placed[number] for number in wanted], revisions, ready_for, now))


def _halts(condemned: Sequence[Object], ready_for: int, now: float) -> bool:
    """Whether scaling down waits: the last pod is unhealthy and not the only one; all that stay are healthy here."""
    ill = [pod for pod in condemned if not (is_healthy(pod) and is_available(pod, ready_for, now))]
    return bool(ill) and ill[0] is condemned[0] and ill[-1] is not condemned[0]


def _outdated(
    owner: Object, pods: Sequence[Object], revisions: Revisions, ready_for: int, now: float
) -> tuple[Object, ...]:
    """Pods of old revisions to replace now, the highest ordinal first."""
    strategy = spec(owner).get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return ()
    rolling = strategy.get("rollingUpdate") or {}
    partition = int(rolling.get("partition") or 0)
    limit = max(1, scaled_value(rolling.get("maxUnavailable", 1), replicas(owner), round_up=False))
    room = limit - sum(not (is_healthy(pod) and is_available(pod, ready_for, now)) for pod in pods)
    found: list[Object] = []
    for pod in reversed(pods):
        number = ordinal(owner, pod)
        if number is None or number - ordinals(owner).start < partition:
            break
        old = labels(pod).get(HASH) != name(revisions.update)
        if old and not is_deleting(pod):
            broken = not is_healthy(pod)
            if not broken and room <= 0:
                break
            found.append(pod)
            room -= not broken
            if len(found) >= limit:
                break
    return tuple(found)


def revision_for(owner: Object, number: int, revisions: Revisions) -> Object:
    """The revision of a pod to be created: those below the partition stay with the current one."""
    rolling = (spec(owner).get("updateStrategy") or {}).get("rollingUpdate") or {}
    below = number - ordinals(owner).start < int(rolling.get("partition") or 0)
    return revisions.current if below else revisions.update


def new_pod(owner: Object, number: int, revision: Object) -> Object:
    found = dict((revision.get("data") or {}).get("spec", {}).get("template") or {})
    found.pop("$patch", None)
    own = f"{name(owner)}-{number}"
    meta = found.get("metadata") or {}
    own_labels = {**(meta.get("labels") or {}), HASH: name(revision), POD_NAME: own, POD_INDEX: str(number)}
    body = {**(found.get("spec") or {}), "hostname": own, "volumes": _volumes(owner, found.get("spec") or {}, number)}
    if spec(owner).get("serviceName"):
        body["subdomain"] = spec(owner)["serviceName"]
    found = {**found, "metadata": {**meta, "labels": own_labels}, "spec": body}
    owner_reference = controller_reference(owner, "apps/v1", "StatefulSet")
    return from_template(found, namespace=namespace(owner), owner=owner_reference, name=own)


def _volumes(owner: Object, pod_spec: Mapping[str, object], number: int) -> list[Object]:
    claimed = {name(claim): name(claim) for claim in spec(owner).get("volumeClaimTemplates") or ()}
    listed: list[Object] = pod_spec.get("volumes") or []  # type: ignore[assignment]
    kept = [volume for volume in listed if volume.get("name") not in claimed]
    return kept + [
        {"name": each, "persistentVolumeClaim": {"claimName": f"{each}-{name(owner)}-{number}"}} for each in claimed
    ]


def claims(owner: Object, number: int) -> list[Object]:
    """The PersistentVolumeClaims of one pod; they outlive it."""
    match = (spec(owner).get("selector") or {}).get("matchLabels") or {}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": f"{name(claim)}-{name(owner)}-{number}",
                "namespace": namespace(owner),
                "labels": {**labels(claim), **match},
                **({"annotations": metadata(claim)["annotations"]} if metadata(claim).get("annotations") else {}),
            },
            "spec": claim.get("spec") or {},
        }
        for claim in spec(owner).get("volumeClaimTemplates") or ()
    ]


def new_status(owner: Object, pods: Sequence[Object], revisions: Revisions, now: float) -> Object:
    ready_for = int(spec(owner).get("minReadySeconds") or 0)
    mine = [pod for pod in pods if ordinal(owner, pod) is not None]
    ready = sum(is_healthy(pod) for pod in mine)
    alive = [pod for pod in mine if not is_deleting(pod)]
    current = sum(labels(pod).get(HASH) == name(revisions.current) for pod in alive)
    updated = sum(labels(pod).get(HASH) == name(revisions.update) for pod in alive)
    done = updated == len(mine) == ready == replicas(owner)
    optional = {
        "readyReplicas": ready,
        "currentReplicas": updated if done else current,
        "updatedReplicas": updated,
    }
    out: Object = {"replicas": len(mine), "observedGeneration": metadata(owner).get("generation") or 0}
    out.update({field: count for field, count in optional.items() if count})
    out["availableReplicas"] = sum(is_healthy(pod) and is_available(pod, ready_for, now) for pod in mine)
    out["currentRevision"] = name(revisions.update if done else revisions.current)
    out["updateRevision"] = name(revisions.update)
    out["collisionCount"] = int(status(owner).get("collisionCount") or 0)
    if status(owner).get("conditions"):
        out["conditions"] = status(owner)["conditions"]
    return out
