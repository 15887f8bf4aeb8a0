"""What is below an object, and which handler serves it: status, scale, finalize, binding, eviction, token, log."""

from __future__ import annotations

import orjson

from panal.errors import BadRequest, conflict
from panal.resources import Resource

from . import bodies, eviction, handlers, logs, proxying, scale, streams, tokenrequests
from .answers import Answer
from .context import Call, Parts
from .fielderrors import invalid, required
from .handlers import Handler
from .registry import Object

_BOUND = orjson.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


async def bind(parts: Parts, call: Call) -> Answer:
    """POST pods/NAME/binding: the scheduler's decision."""
    raw = await bodies.read(call.http)
    return await assign(parts, call, bodies.decode(raw, bodies.media_type(call.http), "Binding", "v1"))


async def assign(parts: Parts, call: Call, binding: Object) -> Answer:
    """Give the pod its node; a pod that has one, or is going, is refused with a conflict."""
    target, metadata = binding.get("target") or {}, binding.get("metadata") or {}
    if not isinstance(target, dict) or not isinstance(metadata, dict):
        raise BadRequest("the Binding's target and metadata are not objects")
    if target.get("kind") not in (None, "", "Node", "Minion") or not target.get("name"):
        raise invalid("Binding", "", call.target.name, [required("target.name")])
    name, uid = call.target.name, metadata.get("uid")

    def place(pod: Object) -> Object:
        if uid and uid != pod["metadata"]["uid"]:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {pod['metadata']['uid']}"
            raise conflict("pods/binding", "", name, why)
        if pod["metadata"].get("deletionTimestamp"):
            raise conflict("pods/binding", "", name, f"pod {name} is being deleted, cannot be assigned to a host")
        if present := pod["spec"].get("nodeName"):
            raise conflict("pods/binding", "", name, f'pod {name} is already assigned to node "{present}"')
        if gates := pod["spec"].get("schedulingGates"):
            raise conflict("pods/binding", "", name, f"pod {name} has non-empty .spec.schedulingGates {gates}")
        pod["spec"]["nodeName"] = target["name"]
        del pod["metadata"]["resourceVersion"]
        pod["metadata"].setdefault("annotations", {}).update(metadata.get("annotations") or {})
        if not pod["metadata"]["annotations"]:
            del pod["metadata"]["annotations"]
        _scheduled(pod, call.timestamp)
        return pod

    await parts.registry.update(call.context(name, subresource="binding"), call.resource, place, tracked=True)
    return Answer(_BOUND, 201)


def _scheduled(pod: Object, now: str) -> None:
    conditions = pod.setdefault("status", {}).setdefault("conditions", [])
    conditions[:] = [each for each in conditions if each.get("type") != "PodScheduled"]
    conditions.append({"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now})


_OBJECTS: dict[str, Handler] = {"get": handlers.get, "update": handlers.update, "patch": handlers.patch}
_PARTS = ("status", "finalize", "approval", "ephemeralcontainers", "resize")
"""Subresources that are the whole object, of which a write changes a part."""

_OTHERS: dict[tuple[str, str], Handler] = {
    ("scale", "get"): scale.get,
    ("scale", "update"): scale.update,
    ("scale", "patch"): scale.patch,
    ("binding", "create"): bind,
    ("eviction", "create"): eviction.evict,
    ("token", "create"): tokenrequests.create,
    ("log", "get"): logs.log,
    **{(name, verb): streams.connect for name in streams.NAMES for verb in ("get", "create")},
}


def find(resource: Resource, subresource: str, verb: str) -> Handler | None:
    """The handler of a subresource, None when it has none for that verb."""
    if subresource not in resource.subresources:
        return None
    if subresource == "proxy":
        return proxying.serve
    return _OBJECTS.get(verb) if subresource in _PARTS else _OTHERS.get((subresource, verb))
