"""Which pods nobody looks after any more. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..meta import Object, created, is_deleting, spec, status, timestamp, with_condition
from ..pods import is_terminal


def is_orphan(pod: Object, nodes: Any) -> bool:
    """Bound to a node that is not in `nodes` (anything with `in`)."""
    where = spec(pod).get("nodeName")
    return bool(where) and where not in nodes


def is_stillborn(pod: Object) -> bool:
    """Being deleted before it was ever bound: no kubelet will confirm it."""
    return is_deleting(pod) and not spec(pod).get("nodeName")


def too_many_finished(pods: Iterable[Object], limit: int) -> list[Object]:
    """Those beyond the `limit`, the oldest first; a limit of nought is none."""
    finished = sorted((pod for pod in pods if is_terminal(pod)), key=created)
    return finished[: max(0, len(finished) - limit)] if limit > 0 else []


def failed(pod: Object, now: float) -> Object:
    """The status of a pod whose node is gone, before it is deleted."""
    said = {
        "type": "DisruptionTarget",
        "status": "True",
        "lastTransitionTime": timestamp(now),
        "reason": "DeletionByPodGC",
        "message": "PodGC: node no longer exists",
    }
    return {
        **status(pod),
        "phase": "Failed",
        "conditions": with_condition(status(pod).get("conditions"), said),
    }
