"""How long a Job waits after failures before it makes another pod. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..meta import Object, condition, is_deleting, metadata, parse_time, status
from ..pods import is_terminal, phase

FIRST, MOST = 10.0, 600.0
"""Seconds after a failure before another pod is made: doubling with each failure."""


def remaining(job: Object, pods: Sequence[Object], now: float) -> float:
    """Seconds to wait for the Job as a whole: failures since its last success count."""
    ends = [(_ended(pod), phase(pod) == "Succeeded") for pod in pods if is_terminal(pod) or is_deleting(pod)]
    good = max((end for end, succeeded in ends if succeeded), default=0.0)
    bad = [end for end, succeeded in ends if not succeeded and end >= good]
    return after(len(bad), max(bad, default=0.0), now)


def after(failures: int, last: float, now: float) -> float:
    """Seconds to wait when the last of so many failures was at `last`."""
    if failures == 0:
        return 0.0
    return last + min(FIRST * 2.0 ** min(failures - 1, 10), MOST) - now


def for_index(failures: int, replaced: Object, now: float) -> float:
    """Seconds to wait before an index's next pod; `failures` is its count, that of `replaced` included."""
    return after(failures, _ended(replaced), now)


def _ended(pod: Object) -> float:
    times = [
        parse_time(((item.get("state") or {}).get("terminated") or {}).get("finishedAt"))
        for item in status(pod).get("containerStatuses") or ()
    ]
    if known := [time for time in times if time is not None]:
        return max(known)
    ready = condition(status(pod).get("conditions"), "Ready") or {}
    if ready.get("status") == "False" and (since := parse_time(ready.get("lastTransitionTime"))) is not None:
        return since
    meta = metadata(pod)
    if (deleted := parse_time(meta.get("deletionTimestamp"))) is not None:
        return deleted - float(meta.get("deletionGracePeriodSeconds") or 0)
    return parse_time(meta.get("creationTimestamp")) or 0.0
