"""Checks of volumes: those of pods, and the sources of PersistentVolumes.

Some paths are Kubernetes' own slips, which clients have come to know; tables keep them in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from panal import formats
from panal.quantity import parse

from ..fielderrors import FieldError, bad, duplicate, forbidden, not_supported, required
from . import projections
from .checks import Object, formatted, lacking, optional_choice, optional_name
from .paths import descending, no_backsteps
from .projections import files, mode

SOURCES = (
    "emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi",
    "glusterfs", "flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI", "fc",
    "flexVolume", "configMap", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk",
    "storageos", "projected", "scaleIO", "csi", "ephemeral", "image",
)  # fmt: skip
PERSISTENT = (
    "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "nfs", "rbd", "quobyte", "cephfs",
    "iscsi", "cinder", "fc", "flexVolume", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume",
    "azureDisk", "scaleIO", "local", "storageos", "csi",
)  # fmt: skip
"""The sources that a PersistentVolume may have."""
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "gcePersistentDisk": ("pdName",), "awsElasticBlockStore": ("volumeID",), "persistentVolumeClaim": ("claimName",),
    "nfs": ("server", "path"), "iscsi": ("targetPortal", "iqn"), "glusterfs": ("endpoints", "path"),
    "rbd": ("monitors", "image"), "cinder": ("volumeID",), "cephfs": ("monitors",), "flexVolume": ("driver",),
    "azureFile": ("secretName", "shareName"), "vsphereVolume": ("volumePath",), "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",), "azureDisk": ("diskName", "diskURI"), "storageos": ("volumeName",),
    "scaleIO": ("gateway", "system", "volumeName"), "gitRepo": ("repository",), "secret": ("secretName",),
    "configMap": ("name",),
}  # fmt: skip
_SHOWN = {"gcePersistentDisk": "persistentDisk"}
_REFUSED = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}
_HOST_TYPES = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
)  # fmt: skip
_SECRETS = ("controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef")


def volumes(found: Sequence[Object], field: str) -> tuple[dict[str, Object], list[FieldError]]:
    """A pod's volumes that are all right, by name, and everything wrong."""
    by_name: dict[str, Object] = {}
    errors: list[FieldError] = []
    for index, volume in enumerate(found):
        where = f"{field}[{index}]"
        name = volume.get("name", "")
        wrong = source(volume, where)
        if not name:
            wrong.append(required(f"{where}.name"))
        else:
            wrong += formatted(name, f"{where}.name", formats.label_name)
        if name in by_name:
            wrong.append(duplicate(f"{where}.name", name))
        if wrong:
            errors += wrong
        else:
            by_name[name] = volume
    return by_name, errors


def source(volume: Object, where: str, *, persistent: bool = False) -> list[FieldError]:
    """What a volume is made of: exactly one source, and that a good one."""
    errors: list[FieldError] = []
    chosen = ""
    for key in PERSISTENT if persistent else SOURCES:
        found = volume.get(key)
        if found is None:
            continue
        if chosen:
            errors.append(forbidden(f"{where}.{_REFUSED.get(key, key)}", "may not specify more than 1 volume type"))
            continue
        chosen, at = key, f"{where}.{_SHOWN.get(key, key)}"
        errors += lacking(found, at, *_NEEDED.get(key, ()))
        if check := (_PERSISTENT_CHECKS if persistent else {}).get(key) or _CHECKS.get(key):
            errors += check(found, at)
    if not chosen:
        errors.append(required(where, "must specify a volume type"))
    return errors


def host_path(found: Object, where: str) -> list[FieldError]:
    path = found.get("path", "")
    if not path:
        return [required(f"{where}.path")]
    return no_backsteps(path, f"{where}.path") + optional_choice(found.get("type"), f"{where}.type", _HOST_TYPES)


def _empty_dir(found: Object, where: str) -> list[FieldError]:
    limit = found.get("sizeLimit")
    if limit is not None and parse(limit) < 0:
        return [forbidden(f"{where}.sizeLimit", "SizeLimit field must be a valid resource quantity")]
    return []


def _git(found: Object, where: str) -> list[FieldError]:
    return descending(found.get("directory", ""), f"{where}.directory")


def _nfs(found: Object, where: str) -> list[FieldError]:
    path = found.get("path", "")
    return [] if path.startswith("/") else [bad(f"{where}.path", path, "must be an absolute path")]


def _partition(found: Object, where: str) -> list[FieldError]:
    number = found.get("partition", 0)
    return [] if 0 <= number <= 255 else [bad(f"{where}.partition", number, formats.range_error(1, 255))]


def _iscsi(found: Object, where: str) -> list[FieldError]:
    name, number = found.get("iqn", ""), found.get("lun", 0)
    errors: list[FieldError] = []
    if name and not name.startswith(("iqn", "eui", "naa")):
        errors.append(bad(f"{where}.iqn", name, "must be valid format starting with iqn, eui, or naa"))
    if not 0 <= number <= 255:
        errors.append(bad(f"{where}.lun", number, formats.range_error(0, 255)))
    if (found.get("chapAuthDiscovery") or found.get("chapAuthSession")) and found.get("secretRef") is None:
        errors.append(required(f"{where}.secretRef"))
    return errors


def _fc(found: Object, where: str) -> list[FieldError]:
    names, others, number = found.get("targetWWNs"), found.get("wwids"), found.get("lun")
    errors: list[FieldError] = []
    if not names and not others:
        errors.append(required(f"{where}.targetWWNs", "must specify either targetWWNs or wwids, but not both"))
    if names and others:
        words = "targetWWNs and wwids can not be specified simultaneously"
        errors.append(bad(f"{where}.targetWWNs", names, words))
    if names and number is None:
        errors.append(required(f"{where}.lun", "lun is required if targetWWNs is specified"))
    elif names and not 0 <= (number or 0) <= 255:
        errors.append(bad(f"{where}.lun", number, formats.range_error(0, 255)))
    return errors


def _flocker(found: Object, where: str) -> list[FieldError]:
    name, identity = found.get("datasetName", ""), found.get("datasetUUID", "")
    if not name and not identity:
        return [required(where, "one of datasetName and datasetUUID is required")]
    if name and identity:
        return [bad(where, "resource", "datasetName and datasetUUID can not be specified simultaneously")]
    return [bad(f"{where}.datasetName", name, "must not contain '/'")] if "/" in name else []


def _azure_disk(found: Object, where: str) -> list[FieldError]:
    errors = optional_choice(found.get("cachingMode"), f"{where}.cachingMode", ("None", "ReadOnly", "ReadWrite"))
    return errors + optional_choice(found.get("kind"), f"{where}.kind", ("Dedicated", "Managed", "Shared"))


def _csi(found: Object, where: str) -> list[FieldError]:
    from .storage import driver_name

    errors = driver_name(found.get("driver", ""), f"{where}.driver")
    if (reference := found.get("nodePublishSecretRef")) is not None and not reference.get("name"):
        errors.append(required(f"{where}.nodePublishSecretRef.name"))
    return errors


def _persistent_csi(found: Object, where: str) -> list[FieldError]:
    from .storage import driver_name

    errors = driver_name(found.get("driver", ""), f"{where}.driver") + lacking(found, where, "volumeHandle")
    for key in _SECRETS:
        if (reference := found.get(key)) is not None:
            at = f"{where}.{key}"
            errors += lacking(reference, at, "name")
            errors += optional_name(reference.get("name"), f"{at}.name", formats.subdomain_name)
            errors += lacking(reference, at, "namespace")
            errors += optional_name(reference.get("namespace"), f"{at}.namespace", formats.label_name)
    return errors


def _local(found: Object, where: str) -> list[FieldError]:
    path = found.get("path", "")
    return no_backsteps(path, f"{where}.path") if path else [required(f"{where}.path")]


def _ephemeral(found: Object, where: str) -> list[FieldError]:
    from .meta import validate_template
    from .persistent import claim_spec

    template, at = found.get("volumeClaimTemplate"), f"{where}.volumeClaimTemplate"
    if template is None:
        return [required(at)]
    metadata = template.get("metadata") or {}
    errors = validate_template(metadata, f"{at}.metadata")
    allowed = ("labels", "annotations", "creationTimestamp")
    errors += [forbidden(f"{at}.metadata.{key}", "cannot be set") for key in metadata if key not in allowed]
    return errors + claim_spec(template.get("spec") or {}, f"{at}.spec")


def _image(found: Object, where: str) -> list[FieldError]:
    policy = found.get("pullPolicy")
    errors = lacking(found, where, "reference")
    if policy and policy not in ("Always", "IfNotPresent", "Never"):
        errors.append(not_supported(f"{where}.pullPolicy", policy, ("Always", "IfNotPresent", "Never")))
    return errors


Check = Callable[[Any, str], list[FieldError]]
_CHECKS: Mapping[str, Check] = {
    "hostPath": host_path, "emptyDir": _empty_dir, "gitRepo": _git, "nfs": _nfs, "gcePersistentDisk": _partition,
    "awsElasticBlockStore": _partition, "iscsi": _iscsi, "fc": _fc, "flocker": _flocker, "azureDisk": _azure_disk,
    "csi": _csi, "ephemeral": _ephemeral, "image": _image, "secret": files, "configMap": files,
    "downwardAPI": lambda found, where: mode(found, where) + projections.downward(found, where),
    "projected": projections.projected, "local": _local,
}  # fmt: skip
_PERSISTENT_CHECKS: Mapping[str, Check] = {"csi": _persistent_csi}
