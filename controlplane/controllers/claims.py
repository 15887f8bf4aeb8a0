"""Whose an object is: adopting orphans that match a selector, releasing what no longer does. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from panal.selectors import LabelSelector, from_label_selector

from .meta import (
    Object,
    controller_of,
    controller_reference,
    is_controlled_by,
    is_deleting,
    labels,
    metadata,
    spec,
    uid,
)


@dataclass(frozen=True)
class Claim:
    """Who belongs to an owner: `owned` already do, `adopt` are free and match, `release` no longer match."""

    owned: tuple[Object, ...]
    adopt: tuple[Object, ...]
    release: tuple[Object, ...]


def claim(owner: Object, objects: Iterable[Object], selector: LabelSelector | None = None) -> Claim:
    """Sort `objects` of the owner's namespace. Nothing is adopted by, and only the owned belong to, what is being
    deleted.
    """
    selector = selector if selector is not None else selector_of(owner)
    owned: list[Object] = []
    adopt: list[Object] = []
    release: list[Object] = []
    for obj in objects:
        matches = selector.matches(labels(obj))
        if is_controlled_by(obj, owner):
            (owned if matches or is_deleting(owner) else release).append(obj)
        elif matches and controller_of(obj) is None and not is_deleting(owner) and not is_deleting(obj):
            adopt.append(obj)
    return Claim(tuple(owned), tuple(adopt), tuple(release))


def selector_of(owner: Object) -> LabelSelector:
    """The owner's selector; a ReplicationController's is a plain mapping."""
    selector = spec(owner).get("selector") or {}
    if owner.get("kind") == "ReplicationController":
        selector = {"matchLabels": selector}
    return from_label_selector(selector)


def adoption_patch(owner: Object, obj: Object, api_version: str, kind: str, finalizer: str = "") -> Object:
    """A merge patch that makes `owner` the controller of `obj`; the uid guards against a namesake."""
    references = [
        *(metadata(obj).get("ownerReferences") or ()),
        controller_reference(owner, api_version, kind),
    ]
    meta: Object = {"uid": uid(obj), "ownerReferences": references}
    finalizers = metadata(obj).get("finalizers") or []
    if finalizer and finalizer not in finalizers:
        meta["finalizers"] = [*finalizers, finalizer]
    return {"metadata": meta}


def release_patch(owner: Object, obj: Object, finalizer: str = "") -> Object:
    """A merge patch that takes the reference to `owner`, and the owner's finalizer, away."""
    references = [item for item in metadata(obj).get("ownerReferences") or () if item.get("uid") != uid(owner)]
    meta: Object = {"uid": uid(obj), "ownerReferences": references or None}
    finalizers = metadata(obj).get("finalizers") or []
    if finalizer in finalizers:
        meta["finalizers"] = [item for item in finalizers if item != finalizer] or None
    return {"metadata": meta}
