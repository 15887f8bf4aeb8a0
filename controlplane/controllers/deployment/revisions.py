"""Annotations and revisions: how a Deployment's ReplicaSets remember which rollout they belong to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..hashing import normal, template_hash
from ..meta import (
    Object,
    annotations_of,
    controller_reference,
    created,
    is_deleting,
    metadata,
    name,
    namespace,
    spec,
    status,
    with_metadata,
)

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
HASH = "pod-template-hash"
NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        REVISION_HISTORY,
        DESIRED,
        MAXIMUM,
        "deprecated.deployment.rollback.to",
    }
)
"""Annotations of a Deployment that say nothing about its ReplicaSets."""
HISTORY_LIMIT = 2000
"""Characters of the revision history that one ReplicaSet keeps."""


def revision(obj: Mapping[str, object]) -> int:
    try:
        return int(annotations_of(obj).get(REVISION, "0"))
    except ValueError:
        return 0


def template_of(obj: Object) -> Object:
    return spec(obj).get("template") or {}


def without_hash(template: Object) -> Object:
    meta = template.get("metadata") or {}
    kept = {k: v for k, v in (meta.get("labels") or {}).items() if k != HASH}
    return {**template, "metadata": {**meta, "labels": kept}}


def same_template(one: Object, other: Object) -> bool:
    """Equal but for the hash label."""
    return bool(normal(without_hash(one)) == normal(without_hash(other)))


def find_new(deployment: Object, sets: Iterable[Object]) -> Object | None:
    """The oldest ReplicaSet of the Deployment's present template."""
    wanted = template_of(deployment)
    return next((rs for rs in sorted(sets, key=created) if same_template(template_of(rs), wanted)), None)


def replicas_annotations(desired: int, surge: int) -> dict[str, str]:
    return {DESIRED: str(desired), MAXIMUM: str(desired + surge)}


def set_annotations(deployment: Object, rs: Object, newest: int) -> dict[str, str]:
    """The annotations the Deployment's present ReplicaSet should have; `newest` is the revision of a new rollout."""
    out = dict(annotations_of(rs))
    out.update({key: value for key, value in annotations_of(deployment).items() if key not in NOT_COPIED})
    if revision(rs) < newest:
        if (old := out.get(REVISION)) is not None:
            history = [item for item in out.get(REVISION_HISTORY, "").split(",") if item] + [old]
            while len(",".join(history)) > HISTORY_LIMIT:
                history.pop(0)
            out[REVISION_HISTORY] = ",".join(history)
        out[REVISION] = str(newest)
    return out


def new_set(deployment: Object, *, replicas: int, surge: int, newest: int) -> Object:
    """A ReplicaSet for the Deployment's present template."""
    template = template_of(deployment)
    digest = template_hash(template, status(deployment).get("collisionCount"))
    own_labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH: digest}
    selector = spec(deployment).get("selector") or {}
    desired = spec(deployment).get("replicas")
    body: Object = {
        "replicas": replicas,
        "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH: digest}},
        "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": own_labels}},
    }
    if spec(deployment).get("minReadySeconds"):
        body["minReadySeconds"] = spec(deployment)["minReadySeconds"]
    rs: Object = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name(deployment)}-{digest}",
            "namespace": namespace(deployment),
            "labels": own_labels,
            "ownerReferences": [controller_reference(deployment, "apps/v1", "Deployment")],
        },
        "spec": body,
    }
    copied = {
        **set_annotations(deployment, rs, newest),
        **replicas_annotations(1 if desired is None else desired, surge),
    }
    return with_metadata(rs, annotations=copied)


def surplus(deployment: Object, old: Sequence[Object]) -> list[Object]:
    """Old, empty ReplicaSets beyond the history limit, oldest revision first."""
    limit = spec(deployment).get("revisionHistoryLimit")
    if limit is None:
        return []
    alive = sorted((rs for rs in old if not is_deleting(rs)), key=revision)
    return [rs for rs in alive[: max(0, len(alive) - limit)] if _is_empty(rs)]


def _is_empty(rs: Object) -> bool:
    observed = status(rs).get("observedGeneration") or 0
    return (
        not status(rs).get("replicas")
        and spec(rs).get("replicas") == 0
        and (metadata(rs).get("generation") or 0) <= observed
    )
