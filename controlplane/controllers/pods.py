"""What controllers ask of a pod: is it active, ready, available, and which of several to delete first. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .meta import Object, condition, created, is_deleting, metadata, parse_time, spec, status, uid

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 2}


def phase(pod: Mapping[str, Any]) -> str:
    return str(status(pod).get("phase") or "Pending")


def is_terminal(pod: Mapping[str, Any]) -> bool:
    return phase(pod) in ("Succeeded", "Failed")


def is_active(pod: Mapping[str, Any]) -> bool:
    """Neither finished nor being deleted."""
    return not is_terminal(pod) and not is_deleting(pod)


def is_ready(pod: Mapping[str, Any]) -> bool:
    found = condition(status(pod).get("conditions"), "Ready")
    return found is not None and found.get("status") == "True"


def ready_since(pod: Mapping[str, Any]) -> float | None:
    found = condition(status(pod).get("conditions"), "Ready")
    if found is None or found.get("status") != "True":
        return None
    return parse_time(found.get("lastTransitionTime"))


def is_available(pod: Mapping[str, Any], min_ready_seconds: int, now: float) -> bool:
    """Ready for at least `min_ready_seconds`."""
    if not is_ready(pod):
        return False
    if min_ready_seconds <= 0:
        return True
    since = ready_since(pod)
    return since is not None and since + min_ready_seconds <= now


def next_available(pods: Iterable[Mapping[str, Any]], min_ready_seconds: int, now: float) -> float | None:
    """Seconds until the first ready pod becomes available; None if none is on its way."""
    if min_ready_seconds <= 0:
        return None
    waits = [
        since + min_ready_seconds - now
        for pod in pods
        if (since := ready_since(pod)) is not None and since + min_ready_seconds > now
    ]
    return min(waits, default=None)


def restarts(pod: Mapping[str, Any]) -> int:
    return max((item.get("restartCount") or 0 for item in status(pod).get("containerStatuses") or ()), default=0)


def deletion_cost(pod: Mapping[str, Any]) -> int:
    try:
        return int((metadata(pod).get("annotations") or {}).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def _age_bucket(since: float | None, now: float) -> int:
    """Ages are compared by their logarithm, so that victims are not always the youngest of a rollout."""
    if since is None or now - since < 1:
        return 0
    return int(math.log2(now - since)) + 1


def deletion_order(candidates: Iterable[Object], related: Iterable[Mapping[str, Any]], now: float) -> list[Object]:
    """The candidates, those to delete first in front.

    Not yet bound before bound, pending before running, unready before ready, cheaper before dearer, from nodes with
    many `related` pods before others, young before old, often restarted before stable. `related` are the active pods
    of all ReplicaSets of the same owner.
    """
    crowd = Counter(node for pod in related if (node := spec(pod).get("nodeName")))

    def rank(pod: Object) -> tuple[Any, ...]:
        node = spec(pod).get("nodeName")
        ready = is_ready(pod)
        return (
            bool(node),
            PHASE_ORDER.get(phase(pod), 3),
            ready,
            deletion_cost(pod),
            -crowd[node] if node else 0,
            _age_bucket(ready_since(pod), now) if ready else 0,
            -restarts(pod),
            _age_bucket(parse_time(created(pod)), now),
            uid(pod),
        )

    return sorted(candidates, key=rank)


def from_template(
    template: Mapping[str, Any], *, namespace: str, owner: Object, prefix: str = "", name: str = ""
) -> Object:
    """The pod a template makes, with a fixed `name` or one generated from `prefix`; `owner` is its controller
    reference.
    """
    meta = template.get("metadata") or {}
    out: Object = {"namespace": namespace, "ownerReferences": [owner]}
    if name:
        out["name"] = name
    else:
        out["generateName"] = prefix
    for field in ("labels", "annotations", "finalizers"):
        if meta.get(field):
            out[field] = meta[field]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": out, "spec": template.get("spec") or {}}


def batches(count: int, initial: int = 1) -> Sequence[int]:
    """Slow start: batch sizes that double, so that a refusal costs few requests."""
    sizes, size = [], initial
    while count > 0:
        sizes.append(min(size, count))
        count -= sizes[-1]
        size *= 2
    return sizes
