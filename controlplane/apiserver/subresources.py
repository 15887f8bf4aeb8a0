"""What is below an object: status, finalize, binding; and which handler serves which."""

from __future__ import annotations

from panal.errors import conflict
from panal.resources import Resource

from . import bodies, handlers
from .answers import Answer
from .context import Call, Parts
from .handlers import Handler
from .registry import Object


async def bind(parts: Parts, call: Call) -> Answer:
    """POST pods/NAME/binding: the scheduler's decision."""
    raw = await bodies.read(call.http)
    binding = bodies.decode(raw, bodies.media_type(call.http), "Binding")
    node = str((binding.get("target") or {}).get("name") or "")
    context = call.context()

    def assign(pod: Object) -> Object:
        present = pod["spec"].get("nodeName")
        if pod["metadata"].get("deletionTimestamp"):
            raise conflict("pods/binding", "", call.target.name, f"pod {call.target.name} is being deleted, cannot be assigned to a host")
        if present:
            raise conflict("pods/binding", "", call.target.name, f"pod {call.target.name} is already assigned to node \"{present}\"")
        pod["spec"]["nodeName"] = node
        pod["metadata"].pop("resourceVersion", None)
        conditions = pod.setdefault("status", {}).setdefault("conditions", [])
        conditions[:] = [each for each in conditions if each.get("type") != "PodScheduled"]
        conditions.append({"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": call.timestamp})
        return pod

    await parts.registry.update(context, call.resource, assign)
    return Answer(b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201}', 201)


_OBJECTS = {"get": handlers.get, "update": handlers.update, "patch": handlers.patch}


def find(resource: Resource, subresource: str, verb: str) -> Handler | None:
    """The handler of a subresource, None when it has none for that verb."""
    if subresource not in resource.subresources:
        return None
    if (resource.plural, subresource, verb) == ("pods", "binding", "create"):
        return bind
    if subresource in ("status", "finalize", "approval", "ephemeralcontainers", "resize"):
        return _OBJECTS.get(verb)
    return None


def reviews(resource: Resource) -> Handler | None:
    """The handler of a resource that is a question and is never stored."""
    return None
