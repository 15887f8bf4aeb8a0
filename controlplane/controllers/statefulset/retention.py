"""What becomes of a StatefulSet's claims when it, or a pod of it, goes: persistentVolumeClaimRetentionPolicy. Pure.

A claim that is to go with the set, or with a pod that is scaled away, gets it as its owner; garbage collection does
the rest.
"""

from __future__ import annotations

from ..meta import Object, metadata, name, spec, uid
from .decide import ordinals

Policy = tuple[bool, bool]
"""(claims go with the set, claims go with the pod that is scaled away)"""


def policy(owner: Object) -> Policy:
    found = spec(owner).get("persistentVolumeClaimRetentionPolicy") or {}
    return found.get("whenDeleted") == "Delete", found.get("whenScaled") == "Delete"


def owners(owner: Object, number: int, pod: Object | None) -> list[Object]:
    """The owner references the policy asks for on the claims of a pod; `pod` is the pod as it is now, if it is."""
    with_set, with_pod = policy(owner)
    if with_pod and number not in ordinals(owner):
        return [] if pod is None else [_reference("v1", "Pod", pod)]
    return [_reference("apps/v1", "StatefulSet", owner)] if with_set else []


def renewed(owner: Object, claim: Object, number: int, pod: Object | None) -> Object | None:
    """The claim with the references it should have; None where it has them. References to others stay."""
    current = metadata(claim).get("ownerReferences") or []
    kept = [item for item in current if not _is_ours(item, owner, number)]
    wanted = [*kept, *owners(owner, number, pod)]
    if [item.get("uid") for item in wanted] == [item.get("uid") for item in current]:
        return None
    return {**claim, "metadata": {**metadata(claim), "ownerReferences": wanted}}


def _is_ours(reference: Object, owner: Object, number: int) -> bool:
    if reference.get("uid") == uid(owner):
        return True
    return (reference.get("kind"), reference.get("name")) == ("Pod", f"{name(owner)}-{number}")


def _reference(api_version: str, kind: str, obj: Object) -> Object:
    return {"apiVersion": api_version, "kind": kind, "name": name(obj), "uid": uid(obj)}
