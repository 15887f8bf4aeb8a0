"""How many pods each ReplicaSet of a Deployment should have now: surge, unavailability, proportions. Pure
arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..meta import Object, annotations_of, created, name, scaled_value, spec, status
from .revisions import DESIRED, MAXIMUM


def desired(obj: Object) -> int:
    value = spec(obj).get("replicas")
    return 1 if value is None else int(value)


def available(rs: Object) -> int:
    return int(status(rs).get("availableReplicas") or 0)


@dataclass(frozen=True)
class Limits:
    """What a rollout may do: `surge` more pods than wanted, `unavailable` fewer."""

    replicas: int
    surge: int
    unavailable: int


def limits(deployment: Object) -> Limits:
    strategy = spec(deployment).get("strategy") or {}
    replicas = desired(deployment)
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return Limits(replicas, 0, 0)
    rolling = strategy.get("rollingUpdate") or {}
    surge = scaled_value(rolling.get("maxSurge", "25%"), replicas, round_up=True)
    unavailable = scaled_value(rolling.get("maxUnavailable", "25%"), replicas, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Limits(replicas, surge, min(unavailable, replicas))


@dataclass
class Sizes:
    """The sizes of the sets while they are being decided, by name."""

    now: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, sets: Sequence[Object]) -> Sizes:
        return cls({name(rs): desired(rs) for rs in sets})

    @property
    def total(self) -> int:
        return sum(self.now.values())


def new_size(limit: Limits, strategy: str, current: int, total: int) -> int:
    """The size of the new ReplicaSet, of `current` pods among `total` in all sets."""
    if strategy == "Recreate":
        return limit.replicas
    room = limit.replicas + limit.surge - total
    if room <= 0:
        return current
    return current + min(room, limit.replicas - current)


def shrink_old(limit: Limits, new: Object, old: Sequence[Object]) -> dict[str, int]:
    """New sizes of old sets that may give up pods now: unhealthy pods first, then as availability allows."""
    everything = [new, *old]
    minimum = limit.replicas - limit.unavailable
    total = sum(desired(rs) for rs in everything)
    budget = total - minimum - (desired(new) - available(new))
    if budget <= 0:
        return {}
    sizes = {name(rs): desired(rs) for rs in old}
    _drop_unhealthy(sizes, old, budget)
    spare = sum(available(rs) for rs in everything) - minimum
    for rs in sorted(old, key=created):
        if spare <= 0:
            break
        if (size := sizes[name(rs)]) > 0:
            taken = min(size, spare)
            sizes[name(rs)] = size - taken
            spare -= taken
    return {name(rs): sizes[name(rs)] for rs in old if sizes[name(rs)] != desired(rs)}


def _drop_unhealthy(sizes: dict[str, int], old: Sequence[Object], budget: int) -> None:
    for rs in sorted(old, key=created):
        if budget <= 0:
            return
        unhealthy = sizes[name(rs)] - available(rs)
        if sizes[name(rs)] and unhealthy > 0:
            taken = min(budget, unhealthy)
            sizes[name(rs)] -= taken
            budget -= taken


def is_saturated(deployment: Object, rs: Object | None) -> bool:
    """The set runs all that the Deployment wants."""
    if rs is None:
        return False
    wanted = desired(deployment)
    return annotations_of(rs).get(DESIRED) == str(wanted) and desired(rs) == wanted and available(rs) == wanted


def scale(deployment: Object, new: Object | None, old: Sequence[Object]) -> dict[str, int]:
    """New sizes after `spec.replicas` changed, or while paused: shared out in proportion over the active sets."""
    limit = limits(deployment)
    active = [rs for rs in [new, *old] if rs is not None and desired(rs) > 0]
    if len(active) <= 1:
        chosen = active[0] if active else new or max(old, key=created, default=None)
        if chosen is None or desired(chosen) == limit.replicas:
            return {}
        return {name(chosen): limit.replicas}
    if is_saturated(deployment, new):
        return {name(rs): 0 for rs in active if rs is not new}
    strategy = (spec(deployment).get("strategy") or {}).get("type", "RollingUpdate")
    return _proportional(deployment, limit, active) if strategy == "RollingUpdate" else {}


def _proportional(deployment: Object, limit: Limits, active: Sequence[Object]) -> dict[str, int]:
    allowed = limit.replicas + limit.surge if limit.replicas > 0 else 0
    to_add = allowed - sum(desired(rs) for rs in active)
    newest_first = sorted(active, key=created, reverse=to_add > 0)
    ordered = sorted(newest_first, key=desired, reverse=True)
    sizes = {name(rs): desired(rs) for rs in ordered}
    added = 0
    for rs in ordered:
        if to_add in (0, added):
            continue
        wanted, rest = _fraction(deployment, limit, rs), to_add - added
        share = min(wanted, rest) if to_add > 0 else max(wanted, rest)
        sizes[name(rs)] += share
        added += share
    if ordered and to_add != 0:
        first = name(ordered[0])
        sizes[first] = max(0, sizes[first] + to_add - added)
    return sizes


def _fraction(deployment: Object, limit: Limits, rs: Object) -> int:
    """How many pods the set gains or loses when the whole grows from what it was told last to what is wanted."""
    if limit.replicas == 0:
        return -desired(rs)
    before = _integer(annotations_of(rs).get(MAXIMUM)) or int(status(deployment).get("replicas") or 0)
    if before == 0:
        return 0
    after = desired(rs) * (limit.replicas + limit.surge) / before
    return int(after + 0.5) - desired(rs)


def _integer(text: Any) -> int | None:
    try:
        return int(text)
    except (TypeError, ValueError):
        return None
