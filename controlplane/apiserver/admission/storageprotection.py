"""StorageObjectInUseProtection: claims and volumes get a finalizer that keeps them while they are in use."""

from __future__ import annotations

from panal.resources import PERSISTENTVOLUMECLAIMS, resource

from .attributes import Attributes, Reader

_FINALIZERS = {
    PERSISTENTVOLUMECLAIMS: "kubernetes.io/pvc-protection",
    resource("persistentvolumes"): "kubernetes.io/pv-protection",
}


def admit(attributes: Attributes, reader: Reader) -> None:
    wanted = _FINALIZERS.get(attributes.resource)
    if wanted is None or not attributes.creates(attributes.resource):
        return
    finalizers = attributes.obj["metadata"].get("finalizers") or []
    if wanted not in finalizers:
        attributes.obj["metadata"]["finalizers"] = [*finalizers, wanted]
