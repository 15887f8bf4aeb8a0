"""Checks of PersistentVolumes and PersistentVolumeClaims, new and changed."""

from __future__ import annotations

import posixpath
from typing import Any

from panal import formats
from panal.quantity import parse

from ..fielderrors import FieldError, bad, forbidden, not_supported, required
from . import volumes
from .checks import POSITIVE, Object, name, optional_choice, optional_name
from .diff import difference
from .labelselectors import label_selector
from .meta import IMMUTABLE, immutable
from .resources import whole_amount
from .scheduling import node_selector

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_CLAIM_STAYS = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)
_RESIZES = (
    "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizePending", "NodeResizeInProgress",
    "NodeResizeInfeasible",
)  # fmt: skip
_CLASS = "volume.beta.kubernetes.io/storage-class"


def _access_modes(spec: Object, field: str, empty: str) -> list[FieldError]:
    modes, where = spec.get("accessModes") or (), f"{field}.accessModes"
    if not modes:
        return [required(where, empty)]
    errors = [not_supported(where, mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
    if "ReadWriteOncePod" in modes and any(mode in ACCESS_MODES[:3] for mode in modes):
        errors.append(forbidden(where, "may not use ReadWriteOncePod with other access modes"))
    return errors


def persistent_volume(obj: Object) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    errors = _access_modes(spec, "spec", "") + _capacity(spec.get("capacity") or {})
    policy = spec.get("persistentVolumeReclaimPolicy")
    errors += optional_choice(policy or None, "spec.persistentVolumeReclaimPolicy", RECLAIM_POLICIES)
    affinity = spec.get("nodeAffinity")
    if affinity is not None:
        if affinity.get("required") is None:
            errors.append(required("spec.nodeAffinity.required", "must specify required node constraints"))
        else:
            errors += node_selector(affinity["required"], "spec.nodeAffinity.required")
    errors += volumes.source(spec, "spec", persistent=True)
    if spec.get("local") is not None and affinity is None:
        errors.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
    path = (spec.get("hostPath") or {}).get("path", "")
    if path and posixpath.normpath(path) == "/" and policy == "Recycle":
        words = "may not be 'recycle' for a hostPath mount of '/'"
        errors.append(forbidden("spec.persistentVolumeReclaimPolicy", words))
    errors += optional_name(spec.get("storageClassName"), "spec.storageClassName", formats.subdomain_name)
    errors += optional_choice(spec.get("volumeMode"), "spec.volumeMode", VOLUME_MODES)
    if (attributes := spec.get("volumeAttributesClassName")) is not None:
        where = "spec.volumeAttributesClassName"
        errors += name(attributes, where, formats.subdomain_name, "an empty string is disallowed")
        if spec.get("csi") is None:
            errors.append(required("spec.csi", "has to be specified when using volumeAttributesClassName"))
    return errors


def inline_volume(spec: Object, field: str) -> list[FieldError]:
    """The specification of a volume that has no PersistentVolume of its own: a CSI driver's."""
    words = "may not be specified in the context of inline volumes"
    errors = [forbidden(f"{field}.{key}", words) for key in ("claimRef", "capacity") if spec.get(key)]
    if spec.get("csi") is None:
        errors.append(required(f"{field}.csi", "has to be specified in the context of inline volumes"))
    errors += _access_modes(spec, field, "")
    if spec.get("persistentVolumeReclaimPolicy") not in (None, "", "Retain"):
        only = "may only be Retain in the context of inline volumes"
        errors.append(forbidden(f"{field}.persistentVolumeReclaimPolicy", only))
    if spec.get("nodeAffinity") is not None:
        errors.append(forbidden(f"{field}.nodeAffinity", words))
    errors += volumes.source(spec, field, persistent=True)
    if spec.get("storageClassName"):
        errors.append(forbidden(f"{field}.storageClassName", words))
    if spec.get("volumeMode") not in (None, "Filesystem"):
        only = "may not specify volumeMode other than Filesystem in the context of inline volumes"
        errors.append(forbidden(f"{field}.volumeMode", only))
    return errors


def _capacity(capacity: Object) -> list[FieldError]:
    errors = [] if capacity else [required("spec.capacity")]
    if "storage" not in capacity or len(capacity) > 1:
        errors.append(not_supported("spec.capacity", dict(capacity), ("storage",)))
    for key, value in sorted(capacity.items()):
        if parse(value) < 0:
            errors.append(bad(f"spec.capacity[{key}]", int(parse(value)), "must be a valid resource quantity"))
        if parse(value) <= 0:
            errors.append(bad(f"spec.capacity[{key}]", value, POSITIVE))
    return errors


def persistent_volume_update(new: Object, old: Object) -> list[FieldError]:
    now, was = new.get("spec") or {}, old.get("spec") or {}
    errors: list[FieldError] = []
    after, before = (_sources(spec) for spec in (now, was))
    if "csi" in after and "csi" in before and "controllerExpandSecretRef" not in before["csi"]:
        after["csi"] = {key: value for key, value in after["csi"].items() if key != "controllerExpandSecretRef"}
    if after != before:
        words = f"spec.persistentvolumesource is immutable after creation\n{difference(before, after)}"
        errors.append(forbidden("spec.persistentvolumesource", words))
    errors += immutable(now.get("volumeMode"), was.get("volumeMode"), "volumeMode")
    if was.get("nodeAffinity") is not None and now.get("nodeAffinity") != was.get("nodeAffinity"):
        words = f"{IMMUTABLE}, except for updating from beta label to GA"
        errors.append(bad("nodeAffinity", now.get("nodeAffinity"), words))
    if was.get("volumeAttributesClassName") is not None and now.get("volumeAttributesClassName") is None:
        errors.append(forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden"))
    return errors


def _sources(spec: Object) -> dict[str, Any]:
    return {key: spec[key] for key in volumes.PERSISTENT if spec.get(key) is not None}


def persistent_volume_claim(obj: Object) -> list[FieldError]:
    return claim_spec(obj.get("spec") or {}, "spec")


def claim_spec(spec: Object, field: str) -> list[FieldError]:
    """The specification of a claim, or of a template for claims."""
    errors = _access_modes(spec, field, "at least 1 access mode is required")
    if spec.get("accessModes"):
        errors = label_selector(spec.get("selector"), f"{field}.selector") + errors
    else:
        errors += label_selector(spec.get("selector"), f"{field}.selector")
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    where = f"{field}.resources[storage]"
    if storage is None:
        errors.append(required(where))
    elif parse(storage) <= 0:
        errors.append(bad(where, storage, POSITIVE))
    else:
        errors += whole_amount("storage", storage, where)
    errors += optional_name(spec.get("storageClassName"), f"{field}.storageClassName", formats.subdomain_name)
    errors += optional_choice(spec.get("volumeMode"), f"{field}.volumeMode", VOLUME_MODES)
    for key in ("dataSource", "dataSourceRef"):
        if spec.get(key) is not None:
            errors += _data_source(spec[key], f"{field}.{key}")
    errors += _data_sources(spec, field)
    attributes = spec.get("volumeAttributesClassName")
    return errors + optional_name(attributes, f"{field}.volumeAttributesClassName", formats.subdomain_name)


def _data_source(source: Object, where: str) -> list[FieldError]:
    errors = [required(f"{where}.{key}") for key in ("name", "kind") if not source.get(key)]
    group, kind = source.get("apiGroup") or "", source.get("kind", "")
    if not group and kind != "PersistentVolumeClaim":
        errors.append(bad(where, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
    errors += optional_name(group, f"{where}.apiGroup", formats.subdomain_name)
    return errors + optional_name(source.get("namespace"), f"{where}.namespace", formats.label_name)


def _data_sources(spec: Object, field: str) -> list[FieldError]:
    """The older and the newer way to name the source say the same."""
    older, newer = spec.get("dataSource"), spec.get("dataSourceRef")
    if older is None or newer is None:
        return []
    if newer.get("namespace"):
        return [bad(field, f"{field}.dataSource", "may not be specified when dataSourceRef.namespace is specified")]
    if any(older.get(key) != newer.get(key) for key in ("apiGroup", "kind", "name")):
        return [bad(field, f"{field}.dataSource", "must match dataSourceRef")]
    return []


def claim_update(new: Object, old: Object) -> list[FieldError]:
    """A claim's specification stays, but for what a bound claim may grow, and the volume that a binder writes once."""
    now, was = dict(new.get("spec") or {}), dict(old.get("spec") or {})
    notes = [(obj["metadata"].get("annotations") or {}).get(_CLASS) for obj in (new, old)]
    errors = [] if notes[0] == notes[1] else immutable(notes[0] or "", notes[1] or "", f"metadata.annotations.{_CLASS}")
    size, before = (parse(_storage(spec) or "0") for spec in (now, was))
    attributes = now.get("volumeAttributesClassName"), was.get("volumeAttributesClassName")
    modes = now.get("volumeMode"), was.get("volumeMode")
    if not was.get("volumeName"):
        _take(was, now, "volumeName")
    if was.get("storageClassName") is None and notes[1] in (None, now.get("storageClassName")):
        _take(now, was, "storageClassName")
    if (new.get("status") or {}).get("phase") == "Bound":
        if _storage(now) is not None:
            now["resources"] = {**now["resources"], "requests": {**now["resources"]["requests"]}}
            now["resources"]["requests"]["storage"] = _storage(was)
        if attributes[0] is not None:
            _take(now, was, "volumeAttributesClassName")
    if now != was:
        errors.append(forbidden("spec", f"{_CLAIM_STAYS}\n{difference(was, now)}"))
    if size < before:
        capacity = ((old.get("status") or {}).get("capacity") or {}).get("storage", "0")
        if size <= parse(capacity):
            errors.append(forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"))
    errors += immutable(*modes, "volumeMode")
    if attributes[1] is not None and not attributes[0]:
        what = "nil" if attributes[0] is None else "an empty string"
        errors.append(forbidden("spec.volumeAttributesClassName", f"update from non-nil value to {what} is forbidden"))
    return errors


def claim_status(new: Object, old: Object) -> list[FieldError]:
    """What a claim has got, and what it is getting."""
    status = new.get("status") or {}
    errors = _negative(status.get("capacity"), "status.capacity")
    for key, value in sorted((status.get("allocatedResourceStatuses") or {}).items()):
        errors += _resource(key, "status.allocatedResourceStatus")
        if value not in _RESIZES:
            errors.append(not_supported("status.allocatedResourceStatus", key, _RESIZES))
    for key, value in sorted((status.get("allocatedResources") or {}).items()):
        errors += _resource(key, "status.allocatedResources") or _negative({key: value}, "status.allocatedResources")
    return errors


def _negative(amounts: Object | None, field: str) -> list[FieldError]:
    return [
        bad(f"{field}[{key}]", int(parse(value)), "must be a valid resource quantity")
        for key, value in sorted((amounts or {}).items())
        if parse(value) < 0
    ]


def _resource(key: str, field: str) -> list[FieldError]:
    """Of Kubernetes' own resources, a claim has storage only."""
    if complaints := formats.qualified_name(key):
        return [bad(field, key, complaint) for complaint in complaints]
    own = "/" not in key or "kubernetes.io/" in key
    return [not_supported(field, key, ("storage",))] if own and key != "storage" else []


def _storage(spec: Object) -> str | None:
    found: str | None = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    return found


def _take(target: dict[str, Any], source: Object, key: str) -> None:
    target.pop(key, None)
    if key in source:
        target[key] = source[key]
