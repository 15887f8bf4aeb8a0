"""What an update may change of a pod: images, a shorter deadline, more tolerations, fewer scheduling gates.

A pod that waits at a gate may be told more exactly where it has to run, never less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, forbidden, required
from .checks import Object, items
from .containers import image
from .diff import difference
from .pods import pod
from .scheduling import tolerations

_MAX_SECONDS = 2**31 - 1
_MIRROR = "kubernetes.io/config.mirror"
_NEEDED = "requiredDuringSchedulingIgnoredDuringExecution"
IMMUTABLE_SPEC = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def annotation_update(new: Object, old: Object) -> list[FieldError]:
    """A pod stays a mirror of its file, or stays none."""
    now, was = ((obj["metadata"].get("annotations") or {}).get(_MIRROR) for obj in (new, old))
    what = "add" if was is None else "remove or update"
    where = f"metadata.annotations[{_MIRROR}]"
    return [] if now == was else [forbidden(where, f"may not {what} mirror pod annotation")]


def pod_update(new: Object, old: Object) -> list[FieldError]:
    before, after = dict(old.get("spec") or {}), dict(new.get("spec") or {})
    errors = pod(new) + annotation_update(new, old)
    for key in ("containers", "initContainers"):
        if len(after.get(key) or ()) != len(before.get(key) or ()):
            return [*errors, forbidden(f"spec.{key}", "pod updates may not add or remove containers")]
        for each, at in items(after.get(key), f"spec.{key}"):
            errors += image(each, at) if each.get("image") else [required(f"{at}.image")]
    wrong, stop = _deadline(after, before)
    errors += wrong
    if stop:
        return errors
    errors += _added_tolerations(after, before) + _gates(after, before)
    if after == before:
        return errors
    gated = bool(before.get("schedulingGates"))
    for key in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        after.pop(key, None)
        before.pop(key, None)
    for key in ("containers", "initContainers"):
        if key in before:
            pairs = zip(before[key], after.get(key) or (), strict=False)
            after[key] = [{**changed, "image": item.get("image")} for item, changed in pairs]
    if before.get("terminationGracePeriodSeconds", 0) < 0 and after.get("terminationGracePeriodSeconds") == 1:
        after["terminationGracePeriodSeconds"] = before["terminationGracePeriodSeconds"]
    if gated:
        errors += _narrowed(after, before)
    if before != after:
        errors.append(forbidden("spec", f"{IMMUTABLE_SPEC}\n{difference(before, after)}"))
    return errors


def _deadline(after: Object, before: Object) -> tuple[list[FieldError], bool]:
    """What is wrong, and whether it is no use to look further."""
    old, new = before.get("activeDeadlineSeconds"), after.get("activeDeadlineSeconds")
    field = "spec.activeDeadlineSeconds"
    if new is None:
        words = "must not update from a positive integer to nil value"
        return ([] if old is None else [bad(field, None, words)]), False
    if not 0 <= new <= _MAX_SECONDS:
        return [bad(field, new, formats.range_error(0, _MAX_SECONDS))], True
    if old is not None and old < new:
        return [bad(field, new, "must be less than or equal to previous value")], True
    return [], False


def _added_tolerations(after: Object, before: Object) -> list[FieldError]:
    new = after.get("tolerations") or ()
    same = [_timeless(found) for found in new]
    if any(_timeless(old) not in same for old in before.get("tolerations") or ()):
        words = "existing toleration can not be modified except its tolerationSeconds"
        return [forbidden("spec.tolerations", words)]
    return tolerations(new, "spec.tolerations")


def _timeless(toleration: Object) -> dict[str, Any]:
    return {key: item for key, item in toleration.items() if key != "tolerationSeconds"}


def _gates(after: Object, before: Object) -> list[FieldError]:
    known = {gate.get("name") for gate in before.get("schedulingGates") or ()}
    return [
        forbidden(f"{at}.name", f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'")
        for gate, at in items(after.get("schedulingGates"), "spec.schedulingGates")
        if gate.get("name") not in known
    ]


def _narrowed(after: dict[str, Any], before: dict[str, Any]) -> list[FieldError]:
    """Node selector and node affinity of a gated pod; what is allowed is made equal in `after`."""
    errors: list[FieldError] = []
    wanted: Mapping[str, str] = after.get("nodeSelector") or {}
    known: Mapping[str, str] = before.get("nodeSelector") or {}
    if any(wanted.get(key) != value for key, value in known.items()):
        words = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        errors.append(bad("spec.nodeSelector", after.get("nodeSelector"), words))
    _take(after, before, "nodeSelector")
    new, old = ((spec.get("affinity") or {}).get("nodeAffinity") for spec in (after, before))
    if new != old:
        errors += _affinity(new or {}, old or {}, "spec.affinity.nodeAffinity")
        kept = {key: item for key, item in (after.get("affinity") or {}).items() if key != "nodeAffinity"}
        if old is not None:
            kept["nodeAffinity"] = old
        after["affinity"] = kept
        if not kept and "affinity" not in before:
            del after["affinity"]
    return errors


def _affinity(new: Object, old: Object, where: str) -> list[FieldError]:
    if old.get(_NEEDED) is None:
        return []
    was, now = (side[_NEEDED].get("nodeSelectorTerms") or () if side.get(_NEEDED) else () for side in (old, new))
    field = f"{where}.{_NEEDED}.nodeSelectorTerms"
    if was and len(was) != len(now):
        words = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        return [bad(field, list(now), words)]
    words = "only additions are allowed (no mutations or deletions)"
    return [
        bad(f"{field}[{index}]", dict(term), words)
        for index, (term, before) in enumerate(zip(now, was, strict=False))
        if not _extends(term, before)
    ]


def _extends(term: Object, before: Object) -> bool:
    """Whether a term asks for all that it asked for, and maybe for more. An empty one stays empty."""
    if not before.get("matchExpressions") and not before.get("matchFields"):
        return term == before
    for key in ("matchExpressions", "matchFields"):
        was: Sequence[Any] = before.get(key) or ()
        if list(term.get(key) or ())[: len(was)] != list(was):
            return False
    return True


def _take(target: dict[str, Any], source: Object, key: str) -> None:
    target.pop(key, None)
    if key in source:
        target[key] = source[key]
