"""One look at a Deployment: what to change next. Pure.

`decide` returns actions in order; the shell performs them, and the changes they make bring the next look. A rollout
thus advances one step an event: make the new ReplicaSet, grow it, shrink the old ones, clean up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..meta import (
    Object,
    annotations_of,
    condition,
    created,
    is_deleting,
    name,
    spec,
    status,
    with_condition,
    with_metadata,
)
from ..pods import is_terminal
from .progress import counted, has_deadline, pause_condition, progressing, rollout_status
from .revisions import (
    DESIRED,
    REVISION,
    find_new,
    new_set,
    replicas_annotations,
    revision,
    set_annotations,
    surplus,
)
from .rolling import Limits, desired, limits, new_size, scale, shrink_old


@dataclass(frozen=True)
class CreateSet:
    """Create the ReplicaSet; on a clash of names with a foreign set, count a collision instead."""

    new: Object
    size: int


@dataclass(frozen=True)
class UpdateSet:
    """Write the ReplicaSet. `was` differs from its size now when this scales it."""

    new: Object
    was: int
    size: int


@dataclass(frozen=True)
class DeleteSet:
    old: Object


@dataclass(frozen=True)
class SetRevision:
    """Write the revision annotation of the Deployment itself."""

    revision: str


@dataclass(frozen=True)
class UpdateStatus:
    status: Object


Action = CreateSet | UpdateSet | DeleteSet | SetRevision | UpdateStatus


def decide(
    deployment: Object, sets: Sequence[Object], pods: Mapping[str, Sequence[Object]], now: float
) -> list[Action]:
    """`sets` are the Deployment's own ReplicaSets; `pods` are the pods of each, by the set's name."""
    new = find_new(deployment, sets)
    old = [rs for rs in sets if rs is not new]
    if is_deleting(deployment):
        return _status(deployment, counted(deployment, new, old, now))
    if (pause := pause_condition(deployment, now)) is not None:
        conditions = with_condition(status(deployment).get("conditions"), pause)
        return [UpdateStatus({**status(deployment), "conditions": conditions})]
    if spec(deployment).get("paused") or _scaling(deployment, sets):
        return _sync(deployment, new, old, now)
    if (spec(deployment).get("strategy") or {}).get("type", "RollingUpdate") == "Recreate":
        return _recreate(deployment, new, old, pods, now)
    return _roll(deployment, new, old, now)


def _scaling(deployment: Object, sets: Sequence[Object]) -> bool:
    wanted = str(desired(deployment))
    return any(annotations_of(rs).get(DESIRED, wanted) != wanted for rs in sets if desired(rs) > 0)


def _sync(deployment: Object, new: Object | None, old: Sequence[Object], now: float) -> list[Action]:
    """Paused, or scaled: sizes change in proportion and no rollout begins."""
    actions: list[Action] = []
    if new is not None:
        actions, new = _adopt_revision(deployment, new, old)
    sizes = scale(deployment, new, old)
    for rs in [*([new] if new else []), *old]:
        if desired(rs) > 0 or name(rs) in sizes:
            actions += _resize(deployment, rs, sizes.get(name(rs), desired(rs)))
    if spec(deployment).get("paused"):
        actions += [DeleteSet(rs) for rs in surplus(deployment, old)]
    return _merge(actions) + _status(deployment, counted(deployment, new, old, now))


def _merge(actions: Sequence[Action]) -> list[Action]:
    """At most one write a ReplicaSet: a later one, built on the earlier, replaces it."""
    last = {name(action.new): index for index, action in enumerate(actions) if isinstance(action, UpdateSet)}
    return [
        action
        for index, action in enumerate(actions)
        if not isinstance(action, UpdateSet) or last[name(action.new)] == index
    ]


def _adopt_revision(deployment: Object, new: Object, old: Sequence[Object]) -> tuple[list[Action], Object]:
    """Writes that bring the present set's annotations, and the Deployment's revision, up to date."""
    newest = max((revision(rs) for rs in old), default=0) + 1
    wanted = set_annotations(deployment, new, newest)
    min_ready = spec(deployment).get("minReadySeconds") or 0
    actions: list[Action] = []
    if wanted != annotations_of(new) or (spec(new).get("minReadySeconds") or 0) != min_ready:
        body = {**spec(new), "minReadySeconds": min_ready}
        new = {**with_metadata(new, annotations=wanted), "spec": body}
        actions.append(UpdateSet(new, desired(new), desired(new)))
    current = annotations_of(new).get(REVISION)
    if current is not None and annotations_of(deployment).get(REVISION) != current:
        actions.append(SetRevision(current))
    return actions, new


def _resize(deployment: Object, rs: Object, size: int) -> list[Action]:
    """A write of the set's size and of the annotations that remember what the whole was, where they differ."""
    limit = limits(deployment)
    wanted = {**annotations_of(rs), **replicas_annotations(limit.replicas, limit.surge)}
    if size == desired(rs) and wanted == annotations_of(rs):
        return []
    changed = {**with_metadata(rs, annotations=wanted), "spec": {**spec(rs), "replicas": size}}
    return [UpdateSet(changed, desired(rs), size)]


def _create(deployment: Object, old: Sequence[Object], limit: Limits, strategy: str, now: float) -> list[Action]:
    newest = max((revision(rs) for rs in old), default=0) + 1
    size = new_size(limit, strategy, 0, sum(desired(rs) for rs in old))
    rs = new_set(deployment, replicas=size, surge=limit.surge, newest=newest)
    actions: list[Action] = [CreateSet(rs, size)]
    if annotations_of(deployment).get(REVISION) != str(newest):
        actions.append(SetRevision(str(newest)))
    conditions = None
    if has_deadline(deployment):
        said = progressing("True", "NewReplicaSetCreated", f'Created new replica set "{name(rs)}"', now)
        conditions = with_condition(status(deployment).get("conditions"), said)
    return actions + _status(deployment, rollout_status(deployment, rs, old, now, conditions))


def _roll(deployment: Object, new: Object | None, old: Sequence[Object], now: float) -> list[Action]:
    limit = limits(deployment)
    if new is None:
        return _create(deployment, old, limit, "RollingUpdate", now)
    actions, new = _adopt_revision(deployment, new, old)
    current = desired(new)
    if current > limit.replicas:
        size = limit.replicas
    else:
        size = new_size(limit, "RollingUpdate", current, current + sum(desired(rs) for rs in old))
    if size != current:
        actions += _resize(deployment, new, size)
    elif active := [rs for rs in old if desired(rs) > 0]:
        sizes = shrink_old(limit, new, active)
        for rs in sorted(active, key=created):
            if name(rs) in sizes:
                actions += _resize(deployment, rs, sizes[name(rs)])
    return _finish(deployment, new, old, actions, now)


def _recreate(
    deployment: Object, new: Object | None, old: Sequence[Object], pods: Mapping[str, Sequence[Object]], now: float
) -> list[Action]:
    limit = limits(deployment)
    actions: list[Action] = []
    if new is not None:
        actions, new = _adopt_revision(deployment, new, old)
    if active := [rs for rs in old if desired(rs) > 0]:
        for rs in active:
            actions += _resize(deployment, rs, 0)
        return _finish(deployment, new, old, actions, now)
    if any(not is_terminal(pod) for rs in old for pod in pods.get(name(rs), ())):
        return _finish(deployment, new, old, actions, now)
    if new is None:
        return _create(deployment, old, limit, "Recreate", now)
    if desired(new) != limit.replicas:
        actions += _resize(deployment, new, limit.replicas)
    return _finish(deployment, new, old, actions, now)


def _finish(
    deployment: Object, new: Object | None, old: Sequence[Object], actions: list[Action], now: float
) -> list[Action]:
    """The status at the end of a look, and the removal of sets beyond the history when the rollout is complete."""
    conditions = None
    existing = status(deployment).get("conditions")
    if new is not None and has_deadline(deployment) and condition(existing, "Progressing") is None:
        said = progressing("True", "FoundNewReplicaSet", f'Found new replica set "{name(new)}"', now)
        conditions = with_condition(existing, said)
    wanted = rollout_status(deployment, new, old, now, conditions)
    if new is not None and _complete(deployment, wanted):
        actions += [DeleteSet(rs) for rs in surplus(deployment, old)]
    return _merge(actions) + _status(deployment, wanted)


def _complete(deployment: Object, wanted: Object) -> bool:
    size = desired(deployment)
    return all((wanted.get(field) or 0) == size for field in ("updatedReplicas", "replicas", "availableReplicas"))


def _status(deployment: Object, wanted: Object) -> list[Action]:
    if same_status(status(deployment), wanted):
        return []
    return [UpdateStatus(wanted)]


def same_status(one: Object, other: Object) -> bool:
    """Equal, where a count that is absent is nought."""

    def meaning(value: Object) -> Object:
        return {k: v for k, v in value.items() if v not in (0, None, [])}

    return meaning(one) == meaning(other)
