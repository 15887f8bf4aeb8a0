"""RuntimeClass: a pod that names a class gets its overhead, and runs only where the class says that it can."""

from __future__ import annotations

from typing import Any

from panal.errors import Forbidden
from panal.resources import PODS, resource

from .amounts import read
from .attributes import Attributes, Object, Reader

_CLASSES = resource("runtimeclasses")


def admit(attributes: Attributes, reader: Reader) -> None:
    if not attributes.creates(PODS):
        return
    found = _of(attributes, reader)
    if found is None:
        return
    spec: Object = attributes.obj.setdefault("spec", {})
    if fixed := (found.get("overhead") or {}).get("podFixed"):
        if spec.get("overhead") and read(spec["overhead"]) != read(fixed):
            raise _forbidden(attributes, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
        spec["overhead"] = dict(fixed)
    if scheduling := found.get("scheduling"):
        _schedule(attributes, spec, scheduling)


def validate(attributes: Attributes, reader: Reader) -> None:
    """What webhooks made of the pod must still be what its class says."""
    if not attributes.creates(PODS):
        return
    fixed = ((_of(attributes, reader) or {}).get("overhead") or {}).get("podFixed")
    told = (attributes.obj.get("spec") or {}).get("overhead")
    if fixed and read(told or {}) != read(fixed):
        raise _forbidden(attributes, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
    if told and not fixed:
        raise _forbidden(
            attributes, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
        )


def _of(attributes: Attributes, reader: Reader) -> Object | None:
    name = (attributes.obj.get("spec") or {}).get("runtimeClassName")
    if not name:
        return None
    found = reader.get(_CLASSES, "", name)
    if found is None:
        raise _forbidden(attributes, f'pod rejected: RuntimeClass "{name}" not found')
    return found


def _schedule(attributes: Attributes, spec: Object, scheduling: Object) -> None:
    chosen: dict[str, Any] = dict(spec.get("nodeSelector") or {})
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        if chosen.setdefault(key, value) != value:
            raise _forbidden(
                attributes,
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {chosen[key]}",
            )
    if chosen:
        spec["nodeSelector"] = chosen
    merged: list[Object] = list(spec.get("tolerations") or ())
    for toleration in scheduling.get("tolerations") or ():
        if toleration not in merged:
            merged.append(toleration)
    if merged:
        spec["tolerations"] = merged


def _forbidden(attributes: Attributes, why: str) -> Forbidden:
    name = attributes.obj["metadata"].get("name", "")
    return Forbidden(f'pods "{name}" is forbidden: {why}', details={"name": name, "kind": "pods"})
