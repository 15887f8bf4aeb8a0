"""What the subresources `ephemeralcontainers` and `resize` may change of a pod, and what they may not. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..fielderrors import FieldError, bad, forbidden
from . import pods

Object = Mapping[str, Any]

_MIRROR = "kubernetes.io/config.mirror"
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
    field = "spec.ephemeralContainers"
    errors = pods.pod(new)
    found: Sequence[Object] = new["spec"].get("ephemeralContainers") or ()
    now = {each.get("name"): each for each in found}
    for each in old["spec"].get("ephemeralContainers") or ():
        name = each.get("name")
        if name not in now:
            errors.append(forbidden(field, f'existing ephemeral containers "{name}" may not be removed\n'))
        elif now[name] != each:
            errors.append(forbidden(field, f'existing ephemeral containers "{name}" may not be changed\n'))
    return errors


_QUALITY = "Pod QOS Class may not change as a result of resizing"
_MUTABLE = "only cpu and memory resources are mutable"
_SIDECARS = "only cpu and memory resources for sidecar containers are mutable"
_FINISHED = "resources for non-sidecar init containers are immutable"


def resize(new: Object, old: Object, quality: tuple[str, str]) -> list[FieldError]:
    """CPU and memory change, what was said stays said, and the quality of service (now, before) stays as it is."""
    after, before = new["spec"], old["spec"]
    if _MIRROR in (old["metadata"].get("annotations") or {}):
        return [forbidden("", "static pods cannot be resized")]
    if (before.get("os") or {}).get("name") == "windows":
        return [forbidden("", "windows pods cannot be resized")]
    errors = pods.pod(new)
    if quality[0] != quality[1]:
        errors.append(bad("spec", quality[0], _QUALITY))
    others: list[FieldError] = []
    for key in ("initContainers", "containers"):
        pairs = zip(after.get(key) or (), before.get(key) or (), strict=False)
        for index, (now, was) in enumerate(pairs):
            if key == "initContainers" and was.get("restartPolicy") != "Always":
                if now != was:
                    others.append(forbidden("spec", _FINISHED))
                continue
            where = f"spec.{key}[{index}].resources"
            wanted, given = now.get("resources") or {}, was.get("resources") or {}
            for kind in ("requests", "limits"):
                if set(given.get(kind) or ()) - set(wanted.get(kind) or ()):
                    errors.append(forbidden(f"{where}.{kind}", f"resource {kind} cannot be removed"))
            if _without_resizable(now) != _without_resizable(was):
                others.append(forbidden("spec", _MUTABLE if key == "containers" else _SIDECARS))
    return errors + others


def _without_resizable(container: Object) -> dict[str, Any]:
    """A container but for what may be resized."""
    kept = {key: item for key, item in container.items() if key not in ("resources", "resizePolicy")}
    resources = container.get("resources") or {}
    for kind in ("requests", "limits"):
        kept[kind] = {name: item for name, item in (resources.get(kind) or {}).items() if name not in _RESIZABLE}
    return {**kept, "claims": resources.get("claims")}
