"""What the subresources `ephemeralcontainers` and `resize` may change of a pod, and what they may not. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..fielderrors import FieldError, bad, duplicate, forbidden, not_found
from . import containers, resources
from .volumes import volumes

Object = Mapping[str, Any]

_MIRROR = "kubernetes.io/config.mirror"
_NOT_EPHEMERAL = (
    "ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources", "resizePolicy",
    "restartPolicy",
)  # fmt: skip
_RESIZABLE = ("cpu", "memory")


def with_ephemeral(new: Object, old: Object) -> dict[str, Any]:
    """The old specification with the new one's ephemeral containers."""
    kept = {key: value for key, value in old.items() if key != "ephemeralContainers"}
    found = new.get("ephemeralContainers")
    return {**kept, "ephemeralContainers": found} if found else kept


def with_resources(new: Object, old: Object) -> dict[str, Any]:
    """The old specification with the new one's resources and resize policies, container by container."""
    made = dict(old)
    for key in ("containers", "initContainers"):
        wanted = {each.get("name"): each for each in new.get(key) or ()}
        if key in old:
            made[key] = [_resized(each, wanted.get(each.get("name"), each)) for each in old[key]]
    return made


def _resized(old: Object, new: Object) -> dict[str, Any]:
    made = {key: value for key, value in old.items() if key not in ("resources", "resizePolicy")}
    return {**made, **{key: new[key] for key in ("resources", "resizePolicy") if key in new}}


def ephemeral(new: Object, old: Object) -> list[FieldError]:
    """Ephemeral containers are added, and neither changed nor taken away."""
    if _MIRROR in (old["metadata"].get("annotations") or {}):
        return [forbidden("", "static pods do not support ephemeral containers")]
    spec, field = new["spec"], "spec.ephemeralContainers"
    errors: list[FieldError] = []
    found: Sequence[Object] = spec.get("ephemeralContainers") or ()
    known, _ = volumes(spec.get("volumes") or (), "spec.volumes")
    others = [each.get("name") for key in ("containers", "initContainers") for each in spec.get(key) or ()]
    names = set(others)
    for index, each in enumerate(found):
        where = f"{field}[{index}]"
        errors += containers.container(each, spec, known, where)
        if each.get("name") in names:
            errors.append(duplicate(f"{where}.name", each["name"]))
        names.add(each.get("name"))
        if (target := each.get("targetContainerName")) and target not in others:
            errors.append(not_found(f"{where}.targetContainerName", target))
        words = "cannot be set for an Ephemeral Container"
        errors += [forbidden(f"{where}.{key}", words) for key in _NOT_EPHEMERAL if each.get(key)]
        for position, mount in enumerate(each.get("volumeMounts") or ()):
            keys = (key for key in ("subPath", "subPathExpr") if mount.get(key))
            errors += [forbidden(f"{where}.volumeMounts[{position}].{key}", words) for key in keys]
    now = {each.get("name"): each for each in found}
    for each in old["spec"].get("ephemeralContainers") or ():
        name = each.get("name")
        if name not in now:
            errors.append(forbidden(field, f'existing ephemeral containers "{name}" may not be removed\n'))
        elif now[name] != each:
            errors.append(forbidden(field, f'existing ephemeral containers "{name}" may not be changed\n'))
    return errors


def resize(new: Object, old: Object, quality: tuple[str, str]) -> list[FieldError]:
    """CPU and memory change, what was said stays said, and the quality of service (now, before) stays as it is."""
    if _MIRROR in (old["metadata"].get("annotations") or {}):
        return [forbidden("", "static pods cannot be resized")]
    errors: list[FieldError] = []
    for key in ("containers", "initContainers"):
        pairs = zip(new["spec"].get(key) or (), old["spec"].get(key) or (), strict=False)
        for index, (now, was) in enumerate(pairs):
            where = f"spec.{key}[{index}].resources"
            after, before = now.get("resources") or {}, was.get("resources") or {}
            errors += resources.requirements(after, where)
            for kind in ("requests", "limits"):
                errors += _amounts(after.get(kind) or {}, before.get(kind) or {}, f"{where}.{kind}", kind)
    if quality[0] != quality[1]:
        errors.append(bad("spec", quality[0], "Pod QOS Class may not change as a result of resizing"))
    return errors


def _amounts(after: Object, before: Object, where: str, kind: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if any(name in before and name not in after for name in _RESIZABLE):
        errors.append(forbidden(where, f"resource {kind} cannot be removed"))
    others = [name for name in {*after, *before} - set(_RESIZABLE) if after.get(name) != before.get(name)]
    if others:
        errors.append(forbidden(where, "only cpu and memory resources are mutable"))
    return errors
