"""The scale subresource: the number of replicas of a workload, seen as an autoscaling/v1 Scale."""

from __future__ import annotations

from typing import Any

import orjson

from panal.errors import BadRequest, InternalError, Invalid, conflict
from panal.selectors import from_label_selector

from . import bodies, patching, requestoptions
from .answers import Answer
from .context import Call, Parts
from .custom.resource import CustomResource
from .fielderrors import go_quote
from .registry import MODIFIED, Object


def view(call: Call, obj: Object) -> dict[str, Any]:
    """The Scale of a workload."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    if isinstance(call.resource, CustomResource):
        return _custom_view(call.resource, obj)
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    selector = spec.get("selector") or {}
    if call.resource.plural == "replicationcontrollers":
        selector = {"matchLabels": selector}
    shown = str(from_label_selector(selector)) if selector else ""
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": spec["replicas"]} if spec.get("replicas") else {},
        "status": {"replicas": status.get("replicas", 0), **({"selector": shown} if shown else {})},
    }


def _custom_view(resource: CustomResource, obj: Object) -> dict[str, Any]:
    """The Scale of a custom object, by the paths of its definition."""
    paths, metadata = resource.scale_paths, obj["metadata"]
    replicas = _at(obj, paths["specReplicasPath"])
    if replicas is None:
        why = f"the spec replicas field {go_quote(paths['specReplicasPath'])} does not exist"
        raise InternalError(f"Internal error occurred: {why}")
    selector = _at(obj, paths.get("labelSelectorPath") or "") or ""
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": replicas} if replicas else {},
        "status": {
            "replicas": _at(obj, paths["statusReplicasPath"]) or 0,
            **({"selector": selector} if selector else {}),
        },
    }


def _at(obj: Object, path: str) -> Any:
    value: Any = obj if path else None
    for name in path.strip(".").split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _put(obj: Object, path: str, value: Any) -> None:
    *parents, last = path.strip(".").split(".")
    for name in parents:
        obj = obj.setdefault(name, {})
    obj[last] = value


async def get(parts: Parts, call: Call) -> Answer:
    await parts.reader.settle_one(call.resource, call.namespace, call.target.name)
    item = parts.reader.get(call.resource, call.namespace, call.target.name)
    return Answer(orjson.dumps(view(call, item.decode())))


async def update(parts: Parts, call: Call) -> Answer:
    raw = await bodies.read(call.http)
    scale = bodies.decode(raw, bodies.media_type(call.http), "Scale", "autoscaling/v1")
    return await _change(parts, call, lambda current: scale)


async def patch(parts: Parts, call: Call) -> Answer:
    media = bodies.media_type(call.http)
    raw = await bodies.read(call.http)
    requestoptions.check("patch", call.query, apply=media == patching.APPLY)
    if media == patching.APPLY and not isinstance(call.resource, CustomResource):
        return await _apply(parts, call, raw)
    return await _change(parts, call, patching.change(patching.supported(media), raw, None))


async def _apply(parts: Parts, call: Call, raw: bytes) -> Answer:
    """An applied Scale is the workload's replicas, owned through the subresource."""
    scale = bodies.decode_yaml(raw, "Scale")
    replicas = _replicas(call, scale)
    applied = {"apiVersion": call.resource.api_version, "kind": call.resource.kind, "spec": {"replicas": replicas}}
    change, _, warnings = patching.applying(call, applied)
    written = await parts.registry.update(call.context(subresource=""), call.resource, change, tracked=True)
    return Answer(orjson.dumps(view(call, orjson.loads(written.body))), warnings=(*warnings, *written.warnings))


def _replicas(call: Call, scale: Object) -> int:
    """The number a Scale asks for. Raises Invalid."""
    spec = scale.get("spec") or {}
    if not isinstance(spec, dict):
        raise BadRequest("the Scale's spec is not an object")
    replicas = spec.get("replicas") or 0
    if not isinstance(replicas, int) or isinstance(replicas, bool) or not 0 <= replicas < 2**31:
        raise _invalid(call.target.name, replicas)
    return replicas


async def _change(parts: Parts, call: Call, change: patching.Change) -> Answer:
    def rescale(obj: Object) -> Object:
        current = view(call, obj)
        wanted = change(current)
        metadata = wanted.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise BadRequest("the Scale's metadata is not an object")
        revision = metadata.get("resourceVersion")
        if revision and revision != obj["metadata"]["resourceVersion"]:
            raise conflict(call.resource.plural, call.resource.group, call.target.name, MODIFIED)
        replicas = _replicas(call, wanted)
        if isinstance(call.resource, CustomResource):
            _put(obj, call.resource.scale_paths["specReplicasPath"], replicas)
        else:
            obj.setdefault("spec", {})["replicas"] = replicas
        if not revision:
            del obj["metadata"]["resourceVersion"]
        return obj

    context = call.context(subresource="")
    written = await parts.registry.update(context, call.resource, rescale, managed_as="scale")
    return Answer(orjson.dumps(view(call, orjson.loads(written.body))), warnings=written.warnings)


def _invalid(name: str, value: Any) -> Invalid:
    message = f"Invalid value: {value}: must be greater than or equal to 0"
    return Invalid(
        f'Scale.autoscaling "{name}" is invalid: spec.replicas: {message}',
        details={
            "name": name,
            "group": "autoscaling",
            "kind": "Scale",
            "causes": [{"reason": "FieldValueInvalid", "message": message, "field": "spec.replicas"}],
        },
    )
