"""Checks of where a container sees its pod's volumes: as files, or as devices."""

from __future__ import annotations

from collections.abc import Mapping

from ..fielderrors import FieldError, bad, forbidden, not_found, not_supported, required
from .checks import Object, items, optional_choice
from .paths import descending

_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_RECURSIVE = ("Disabled", "Enabled", "IfPossible")


def mounts(container: Object, volumes: Mapping[str, Object], field: str) -> list[FieldError]:
    """Kubernetes does not say whose subPath, propagation or recursion is wrong."""
    errors: list[FieldError] = []
    devices = {each.get("name"): each.get("devicePath") for each in container.get("volumeDevices") or ()}
    paths: set[str] = set()
    for mount, where in items(container.get("volumeMounts"), field):
        name, path = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            errors.append(required(f"{where}.name"))
        if name not in volumes:
            errors.append(not_found(f"{where}.name", name))
        if not path:
            errors.append(required(f"{where}.mountPath"))
        if path in paths:
            errors.append(bad(f"{where}.mountPath", path, "must be unique"))
        paths.add(path)
        if name in devices:
            errors.append(bad(f"{where}.name", name, "must not already exist in volumeDevices"))
        if path in devices.values():
            errors.append(bad(f"{where}.mountPath", path, "must not already exist as a path in volumeDevices"))
        errors += _below(mount, where, field)
        errors += _propagation(mount, container, field)
    return errors


def _below(mount: Object, where: str, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if sub := mount.get("subPath"):
        errors += descending(sub, f"{field}.subPath")
    if expression := mount.get("subPathExpr"):
        if sub:
            words = "subPathExpr and subPath are mutually exclusive"
            errors.append(bad(f"{where}.subPathExpr", expression, words))
        errors += descending(expression, f"{field}.subPathExpr")
    return errors


def _propagation(mount: Object, container: Object, field: str) -> list[FieldError]:
    how, recursive = mount.get("mountPropagation"), mount.get("recursiveReadOnly")
    errors = optional_choice(how, f"{field}.mountPropagation", _PROPAGATIONS)
    if how == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        words = "Bidirectional mount propagation is available only to privileged containers"
        errors.append(forbidden(f"{field}.mountPropagation", words))
    where = f"{field}.recursiveReadOnly"
    if recursive in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            errors.append(forbidden(where, "may only be specified when readOnly is true"))
        if how not in (None, "None"):
            errors.append(forbidden(where, "may only be specified when mountPropagation is None or not specified"))
    elif recursive not in (None, "Disabled"):
        errors.append(not_supported(where, recursive, _RECURSIVE))
    return errors


def devices(container: Object, volumes: Mapping[str, Object], field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    mounted = {each.get("name"): each.get("mountPath") for each in container.get("volumeMounts") or ()}
    names: set[str] = set()
    paths: set[str] = set()
    for device, where in items(container.get("volumeDevices"), field):
        name, path = device.get("name", ""), device.get("devicePath", "")
        volume = volumes.get(name)
        if not name:
            errors.append(required(f"{where}.name"))
        if name in names:
            errors.append(bad(f"{where}.name", name, "must be unique"))
        if volume is None:
            errors.append(not_found(f"{where}.name", name))
        elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
            words = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            errors.append(bad(f"{where}.name", name, words))
        if not path:
            errors.append(required(f"{where}.devicePath"))
        if path in paths:
            errors.append(bad(f"{where}.devicePath", path, "must be unique"))
        if ".." in path.split("/"):
            errors.append(bad(f"{where}.devicePath", path, "can not contain backsteps ('..')"))
        else:
            paths.add(path)
        if name in mounted:
            errors.append(bad(f"{where}.name", name, "must not already exist in volumeMounts"))
        if path in mounted.values():
            errors.append(bad(f"{where}.devicePath", path, "must not already exist as a path in volumeMounts"))
        names.add(name)
    return errors
