"""ControllerRevisions: the kept templates of DaemonSets and StatefulSets, for rollbacks and `kubectl rollout
history`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from . import gotext
from .hashing import normal, revision_hash, template_hash
from .meta import Object, controller_reference, created, name, namespace, spec

HASH = "controller-revision-hash"


def data_of(owner: Object) -> Object:
    """What a revision keeps of its owner, as a patch: the template, wholly.

    As Go writes it, keys in order: clients look for the revision of now by comparing the text.
    """
    found: Object = orjson.loads(gotext.json(_patch(gotext.encode(gotext.TEMPLATE, _template(owner)))))
    return found


def _template(owner: Object) -> Object:
    return spec(owner).get("template") or {}


def _patch(template: Object) -> Object:
    return {"spec": {"template": {**template, "$patch": "replace"}}}


def number(revision: Object) -> int:
    return int(revision.get("revision") or 0)


def ordered(revisions: Iterable[Object]) -> list[Object]:
    return sorted(revisions, key=lambda item: (number(item), created(item), name(item)))


def find_equal(revisions: Iterable[Object], owner: Object) -> Object | None:
    """The newest revision that keeps the owner's present template, as it was written or as Go writes it."""
    wanted = normal(data_of(owner)), normal(_patch(_template(owner)))
    return next((item for item in reversed(ordered(revisions)) if normal(item.get("data") or {}) in wanted), None)


def new_revision(
    owner: Object, api_version: str, kind: str, revision: int, collisions: int | None, *, hash_label: str = HASH
) -> Object:
    template = _template(owner)
    digest = (revision_hash if kind == "StatefulSet" else template_hash)(template, collisions)
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{name(owner)}-{digest}",
            "namespace": namespace(owner),
            "labels": {**((template.get("metadata") or {}).get("labels") or {}), hash_label: digest},
            "annotations": _annotations(owner),
            "ownerReferences": [controller_reference(owner, api_version, kind)],
        },
        "data": data_of(owner),
        "revision": revision,
    }


def _annotations(owner: Object) -> dict[str, str]:
    kept = (owner.get("metadata") or {}).get("annotations") or {}
    return {key: value for key, value in kept.items() if key != "kubectl.kubernetes.io/last-applied-configuration"}


def surplus(revisions: Sequence[Object], live: set[str], limit: int) -> list[Object]:
    """Revisions beyond the history limit that no pod (`live`: their names' hashes or names) uses, oldest first."""
    unused = [item for item in ordered(revisions) if name(item) not in live]
    return unused[: max(0, len(unused) - limit)]
