"""What is to be done with a claim and with a volume, and what they look like then. Pure.

https://kubernetes.io/docs/concepts/storage/persistent-volumes/#lifecycle-of-a-volume-and-claim
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ... import volumebinding as facts
from ..meta import Object, annotations_of, is_deleting, metadata, name, namespace, spec, status, uid

PROVISIONER = "panal.dev/local-path"
_ASKED = ("volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner")
CLAIM_PROTECTION = "kubernetes.io/pvc-protection"
VOLUME_PROTECTION = "kubernetes.io/pv-protection"
_PROVISIONED = re.compile(r"pvc-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


@dataclass(frozen=True)
class Bind:
    volume: Object


@dataclass(frozen=True)
class Provision:
    """A volume has to be made, by whoever the class names."""

    storage_class: Object


@dataclass(frozen=True)
class Phase:
    """The claim is in this phase; the event says why, if there is something to say."""

    phase: str
    event: tuple[str, str, str] | None = None
    """Type, reason, message."""


Decision = Bind | Provision | Phase


def for_claim(
    claim: Object,
    named: Callable[[str], Object | None],
    candidates: Iterable[Object],
    storage_class: Object | None,
    waiting_pod: str | None,
) -> Decision:
    """`named` finds a volume, `candidates` are those of the claim's class or meant for it, `waiting_pod` is one that
    uses the claim and has no node yet.
    """
    if facts.BIND_COMPLETED in annotations_of(claim):
        return _bound(claim, named)
    if wanted := spec(claim).get("volumeName"):
        return _asked_for(claim, str(wanted), named)
    delayed = facts.waits_for_consumer(storage_class) and facts.SELECTED_NODE not in annotations_of(claim)
    pool = [volume for volume in candidates if not delayed or facts.points_at(volume, claim)]
    if (found := facts.best(claim, pool)) is not None:
        return Bind(found)
    if delayed:
        if waiting_pod is not None:
            return Phase("Pending", ("Normal", "WaitForPodScheduled", f"waiting for pod {waiting_pod} to be scheduled"))
        words = "waiting for first consumer to be created before binding"
        return Phase("Pending", ("Normal", "WaitForFirstConsumer", words))
    if storage_class is not None:
        return Provision(storage_class)
    if wanted := facts.class_of(claim):
        return Phase("Pending", ("Warning", "ProvisioningFailed", f'storageclass.storage.k8s.io "{wanted}" not found'))
    words = "no persistent volumes available for this claim and no storage class is set"
    return Phase("Pending", ("Normal", "FailedBinding", words))


def _asked_for(claim: Object, wanted: str, named: Callable[[str], Object | None]) -> Decision:
    volume = named(wanted)
    if volume is None:
        return Phase("Pending")
    if spec(volume).get("claimRef") and not facts.points_at(volume, claim):
        words = f'volume "{wanted}" already bound to a different claim.'
        return Phase("Pending", ("Warning", "FailedBinding", words))
    if not facts.belongs_to(volume, claim) and (why := facts.mismatch(volume, claim)) is not None:
        words = f'Cannot bind to requested volume "{wanted}": {why}'
        return Phase("Pending", ("Warning", "VolumeMismatch", words))
    return Bind(volume)


def _bound(claim: Object, named: Callable[[str], Object | None]) -> Decision:
    wanted = spec(claim).get("volumeName")
    if not wanted:
        words = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
        return _lost(claim, "ClaimLost", words)
    volume = named(str(wanted))
    if volume is None:
        return _lost(claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
    if not spec(volume).get("claimRef") or facts.points_at(volume, claim):
        return Bind(volume)
    words = "Two claims are bound to the same volume, this one is bound incorrectly"
    return _lost(claim, "ClaimMisbound", words)


def _lost(claim: Object, reason: str, words: str) -> Phase:
    return Phase("Lost", None if status(claim).get("phase") == "Lost" else ("Warning", reason, words))


def with_claim(volume: Object, claim: Object) -> Object:
    """The volume as it is when it is bound to the claim; the same object if it is already."""
    if facts.belongs_to(volume, claim):
        return volume
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": namespace(claim),
        "name": name(claim),
        "uid": uid(claim),
        "resourceVersion": metadata(claim).get("resourceVersion"),
    }
    notes = dict(annotations_of(volume))
    if not spec(volume).get("claimRef"):
        notes[facts.BOUND_BY_CONTROLLER] = "yes"
    return {
        **volume,
        "metadata": {**metadata(volume), "annotations": notes},
        "spec": {**spec(volume), "claimRef": reference},
    }


def with_volume(claim: Object, volume: Object) -> Object:
    """The claim as it is when it is bound to the volume; the same object if it is already."""
    notes = annotations_of(claim)
    if facts.is_bound(claim):
        return claim
    said = {facts.BIND_COMPLETED: "yes"}
    if not spec(claim).get("volumeName"):
        said[facts.BOUND_BY_CONTROLLER] = "yes"
    return {
        **claim,
        "metadata": {**metadata(claim), "annotations": {**notes, **said}},
        "spec": {**spec(claim), "volumeName": name(volume)},
    }


def bound_status(claim: Object, volume: Object) -> Object:
    return {
        **status(claim),
        "phase": "Bound",
        "accessModes": spec(volume).get("accessModes") or [],
        "capacity": spec(volume).get("capacity") or {},
    }


def asking(claim: Object, provisioner: str) -> Object:
    """The claim with the name of who is to provision it; the same object if it has it already."""
    notes = annotations_of(claim)
    if all(notes.get(key) == provisioner for key in _ASKED):
        return claim
    said = {**notes, **dict.fromkeys(_ASKED, provisioner)}
    return {**claim, "metadata": {**metadata(claim), "annotations": said}}


def refusal(claim: Object, node: Object | None) -> str | None:
    """Why the local provisioner cannot make what the claim asks for."""
    wanted = spec(claim)
    if wanted.get("selector"):
        return "claim.Spec.Selector is not supported"
    if wanted.get("volumeMode") == "Block":
        return "block volumes are not supported"
    if not set(wanted.get("accessModes") or ()) <= {"ReadWriteOnce", "ReadWriteOncePod"}:
        return "only the access modes ReadWriteOnce and ReadWriteOncePod are supported"
    if node is None:
        return "configuration error, no node was specified"
    return None


def volume_name(claim: Object) -> str:
    return f"pvc-{uid(claim)}"


def folder_name(volume: Object) -> str | None:
    """The folder of a volume that our provisioner made; built from the claim's uid alone. None for any other."""
    if annotations_of(volume).get(facts.PROVISIONED_BY) != PROVISIONER or not _PROVISIONED.match(name(volume)):
        return None
    return name(volume)


def new_volume(claim: Object, storage_class: Object, node: Object, path: str) -> Object:
    """A folder of the node as a volume, bound to the claim from the beginning."""
    host = (metadata(node).get("labels") or {}).get("kubernetes.io/hostname") or name(node)
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}
    volume: Object = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name(claim), "annotations": {facts.PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "accessModes": spec(claim).get("accessModes"),
            "capacity": {"storage": spec(claim)["resources"]["requests"]["storage"]},
            "hostPath": {"path": path, "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "storageClassName": name(storage_class),
            "volumeMode": "Filesystem",
        },
    }
    bound = with_claim(volume, claim)
    bound["metadata"]["annotations"].pop(facts.BOUND_BY_CONTROLLER, None)
    return bound


@dataclass(frozen=True)
class VolumePlan:
    phase: str
    reclaim: bool = False


def for_volume(volume: Object, claim: Object | None) -> VolumePlan:
    """`claim` is the one that the volume's reference names, if there is one with that uid."""
    reference = spec(volume).get("claimRef")
    if not reference or not reference.get("uid"):
        return VolumePlan("Available")
    if claim is None:
        phase = status(volume).get("phase")
        return VolumePlan("Failed" if phase == "Failed" else "Released", reclaim=not is_deleting(volume))
    if spec(claim).get("volumeName") == name(volume):
        return VolumePlan("Bound")
    if spec(claim).get("volumeName") and annotations_of(volume).get(facts.PROVISIONED_BY):
        return VolumePlan("Released", reclaim=not is_deleting(volume))
    return VolumePlan(status(volume).get("phase") or "Pending")


def unprotected(obj: Object, finalizer: str) -> Object | None:
    """The object that is being deleted without the finalizer; None when there is nothing to take away."""
    finalizers = metadata(obj).get("finalizers") or []
    if not is_deleting(obj) or finalizer not in finalizers:
        return None
    return {**obj, "metadata": {**metadata(obj), "finalizers": [item for item in finalizers if item != finalizer]}}
