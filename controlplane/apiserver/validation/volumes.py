"""Checks of a pod's volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, duplicate, forbidden, not_supported, required
from .containers import field_reference, relative_path

Object = Mapping[str, Any]

SOURCES = (
    "emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi",
    "glusterfs", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "flocker", "downwardAPI", "fc", "azureFile",
    "configMap", "quobyte", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk", "storageos",
    "projected", "scaleIO", "csi", "ephemeral", "image",
)  # fmt: skip
_HOST_TYPES = ("", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice")
_DOWNWARD_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid",
)  # fmt: skip


def volumes(found: Sequence[Object], field: str) -> tuple[dict[str, Object], list[FieldError]]:
    """The volumes that are all right, by name, and everything wrong."""
    by_name: dict[str, Object] = {}
    errors: list[FieldError] = []
    for index, volume in enumerate(found):
        where = f"{field}[{index}]"
        name = volume.get("name", "")
        wrong = _source(volume, where)
        if not name:
            wrong.append(required(f"{where}.name"))
        else:
            wrong += [bad(f"{where}.name", name, complaint) for complaint in formats.label_name(name)]
        if name in by_name:
            wrong.append(duplicate(f"{where}.name", name))
        if wrong:
            errors += wrong
        else:
            by_name[name] = volume
    return by_name, errors


def _source(volume: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    chosen = 0
    for key in SOURCES:
        source = volume.get(key)
        if source is None:
            continue
        if chosen:
            errors.append(forbidden(f"{where}.{key}", "may not specify more than 1 volume type"))
            continue
        chosen += 1
        errors += _check(key, source, f"{where}.{key}")
    if not chosen:
        errors.append(required(where, "must specify a volume type"))
    return errors


def _check(key: str, source: Object, where: str) -> list[FieldError]:
    match key:
        case "hostPath":
            return host_path(source, where)
        case "secret":
            return _named(source, "secretName", where) + _files(source, where)
        case "configMap":
            return _named(source, "name", where) + _files(source, where)
        case "persistentVolumeClaim":
            return _named(source, "claimName", where)
        case "downwardAPI":
            return _downward(source, where) + _mode(source, where)
        case "projected":
            return _projected(source, where)
        case "nfs":
            return [required(f"{where}.{name}") for name in ("server", "path") if not source.get(name)]
        case "csi":
            return _named(source, "driver", where)
    return []


def host_path(source: Object, where: str) -> list[FieldError]:
    path = source.get("path", "")
    if not path:
        return [required(f"{where}.path")]
    errors = []
    if ".." in path.split("/"):
        errors.append(bad(f"{where}.path", path, "must not contain '..'"))
    if source.get("type", "") not in _HOST_TYPES:
        errors.append(not_supported(f"{where}.type", source.get("type"), sorted(_HOST_TYPES)))
    return errors


def _named(source: Object, key: str, where: str) -> list[FieldError]:
    return [] if source.get(key) else [required(f"{where}.{key}")]


def _mode(source: Object, where: str) -> list[FieldError]:
    mode = source.get("defaultMode")
    if mode is not None and not 0 <= mode <= 0o777:
        return [bad(f"{where}.defaultMode", mode, "must be a number between 0 and 0777 (octal), both inclusive")]
    return []


def _files(source: Object, where: str) -> list[FieldError]:
    """Keys that become files."""
    errors = _mode(source, where)
    for index, item in enumerate(source.get("items") or ()):
        at = f"{where}.items[{index}]"
        if not item.get("key"):
            errors.append(required(f"{at}.key"))
        errors += _path(item, at)
    return errors


def _path(item: Object, at: str) -> list[FieldError]:
    path = item.get("path", "")
    if not path:
        return [required(f"{at}.path")]
    errors = relative_path(path, f"{at}.path")
    if path.startswith("..") and not errors:
        errors.append(bad(f"{at}.path", path, "must not start with '..'"))
    mode = item.get("mode")
    if mode is not None and not 0 <= mode <= 0o777:
        errors.append(bad(f"{at}.mode", mode, "must be a number between 0 and 0777 (octal), both inclusive"))
    return errors


def _downward(source: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, item in enumerate(source.get("items") or ()):
        at = f"{where}[{index}]"
        errors += _path(item, at)
        reference, resource = item.get("fieldRef"), item.get("resourceFieldRef")
        if reference is not None:
            errors += field_reference(reference, _DOWNWARD_FIELDS, f"{at}.fieldRef")
            if resource is not None:
                errors.append(bad(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
        elif resource is not None:
            if not resource.get("containerName"):
                errors.append(required(f"{at}.resourceFieldRef.containerName"))
        else:
            errors.append(required(at, "one of fieldRef and resourceFieldRef is required"))
    return errors


def _projected(source: Object, where: str) -> list[FieldError]:
    errors = _mode(source, where)
    for index, part in enumerate(source.get("sources") or ()):
        at = f"{where}.sources[{index}]"
        for name in ("secret", "configMap"):
            if (projection := part.get(name)) is not None:
                if not projection.get("name"):
                    errors.append(required(f"{at}.{name}.name"))
                errors += _files(projection, f"{at}.{name}")
        if (projection := part.get("downwardAPI")) is not None:
            errors += _downward(projection, f"{at}.downwardAPI")
        if (token := part.get("serviceAccountToken")) is not None:
            errors += _token(token, f"{at}.serviceAccountToken")
        if not part:
            errors.append(
                bad(at, "", "must specify one of: `secret`, `downwardAPI`, `configMap`, `serviceAccountToken`")
            )
    return errors


def _token(token: Object, at: str) -> list[FieldError]:
    errors = []
    seconds = token.get("expirationSeconds", 3600)
    if seconds < 600:
        errors.append(bad(f"{at}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
    elif seconds > 2**32:
        errors.append(bad(f"{at}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))
    if not token.get("path"):
        errors.append(required(f"{at}.path"))
    return errors
