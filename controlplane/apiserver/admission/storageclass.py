"""DefaultStorageClass: a new claim that names no class gets the default one."""

from __future__ import annotations

from panal.resources import PERSISTENTVOLUMECLAIMS, resource

from .attributes import Attributes, Object, Reader

_CLASSES = resource("storageclasses")
_DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
_LEGACY = "volume.beta.kubernetes.io/storage-class"


def admit(attributes: Attributes, reader: Reader) -> None:
    if not attributes.creates(PERSISTENTVOLUMECLAIMS):
        return
    spec: Object = attributes.obj.setdefault("spec", {})
    if spec.get("storageClassName") is not None or _LEGACY in (attributes.obj["metadata"].get("annotations") or {}):
        return
    defaults = [item for item in reader.list(_CLASSES) if _is_default(item)]
    if defaults:
        # The newest of several, the first by name of those: as Kubernetes decides.
        defaults.sort(key=lambda item: str(item["metadata"]["name"]))
        newest = max(defaults, key=lambda item: str(item["metadata"].get("creationTimestamp", "")))
        spec["storageClassName"] = newest["metadata"]["name"]


def _is_default(item: Object) -> bool:
    annotations = item["metadata"].get("annotations") or {}
    return any(annotations.get(key) == "true" for key in _DEFAULT)
