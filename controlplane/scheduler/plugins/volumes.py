"""VolumeBinding: the nodes where a pod's claims have, or could be given, their volumes; and what is chosen for them."""

from __future__ import annotations

from collections.abc import Sequence

from ... import volumebinding as facts
from ..snapshot import NodeInfo, Object, PodInfo, Snapshot
from .contract import Check, Everywhere, Refusal

AFFINITY = Refusal(("node(s) didn't match PersistentVolume's node affinity",), final=True)
NO_VOLUME = Refusal(("node(s) didn't find available persistent volumes to bind",), final=True)
MISSING = Refusal(("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",), final=True)


def _everywhere(words: str) -> Everywhere:
    return Everywhere(Refusal((words,), final=True, whole=True))


def volumes_fit(pod: PodInfo, snapshot: Snapshot) -> Check | None:
    names = facts.claim_names(pod.obj)
    if not names or snapshot.storage is None:
        return None
    bound: list[Object] = []
    delayed: list[Object] = []
    for name in names:
        claim = snapshot.storage.claim(pod.namespace, name)
        if claim is None:
            return _everywhere(f'persistentvolumeclaim "{name}" not found')
        if claim["metadata"].get("deletionTimestamp"):
            return _everywhere(f'persistentvolumeclaim "{name}" is being deleted')
        if (claim.get("status") or {}).get("phase") == "Lost":
            lost = claim["spec"].get("volumeName")
            return _everywhere(f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{lost}"')
        if facts.is_bound(claim):
            bound.append(claim)
        elif facts.waits_for_consumer(snapshot.storage.storage_class(facts.class_of(claim))):
            delayed.append(claim)
        else:
            return _everywhere("pod has unbound immediate PersistentVolumeClaims")
    return _check(bound, delayed, snapshot)


def _check(bound: Sequence[Object], delayed: Sequence[Object], snapshot: Snapshot) -> Check:
    storage = snapshot.storage
    assert storage is not None
    volumes = [storage.volume(claim["spec"]["volumeName"]) for claim in bound]

    def check(info: NodeInfo) -> Refusal | None:
        for volume in volumes:
            if volume is None:
                return MISSING
            if not facts.fits_node(volume, info.node):
                return AFFINITY
        return None if choose(delayed, info.node, snapshot) is not None else NO_VOLUME

    return check


def choose(delayed: Sequence[Object], node: Object, snapshot: Snapshot) -> list[tuple[Object, Object | None]] | None:
    """For each claim a volume of the node that is there, or None: one is to be made. None when there is no way."""
    storage = snapshot.storage
    assert storage is not None
    found: list[tuple[Object, Object | None]] = []
    taken: set[str] = set()
    for claim in sorted(delayed, key=facts.requested):
        which = facts.class_of(claim)
        chosen = facts.notes_of(claim).get(facts.SELECTED_NODE)
        if chosen is not None and chosen != node["metadata"]["name"]:
            return None
        pool = [
            volume
            for volume in storage.volumes(which)
            if (name := volume["metadata"]["name"]) not in taken
            and storage.kept_for(name) in (None, claim["metadata"]["uid"])
        ]
        volume = facts.best(claim, pool, lambda volume: facts.fits_node(volume, node))
        storage_class = storage.storage_class(which) or {}
        if volume is not None:
            taken.add(volume["metadata"]["name"])
        elif storage_class.get("provisioner") == facts.NO_PROVISIONER:
            return None
        elif not facts.topology_allows(storage_class, node):
            return None
        found.append((claim, volume))
    return found


def unbound(pod: PodInfo, snapshot: Snapshot) -> list[Object]:
    """The pod's claims that have no volume yet."""
    if snapshot.storage is None:
        return []
    claims = [snapshot.storage.claim(pod.namespace, name) for name in facts.claim_names(pod.obj)]
    return [claim for claim in claims if claim is not None and not facts.is_bound(claim)]
