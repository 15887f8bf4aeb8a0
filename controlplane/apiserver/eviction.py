"""Eviction: a deletion that asks the pod's disruption budget first (policy/v1)."""

from __future__ import annotations

import orjson

from panal import resources
from panal.errors import NotFound, StatusError, TooManyRequests
from panal.selectors import from_label_selector

from . import bodies
from .answers import Answer
from .context import Call, Parts
from .deletion import DeleteOptions
from .registry import Object
from .request import Query

_BUDGETS = resources.resource("poddisruptionbudgets")
_SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
_CREATED = orjson.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


async def evict(parts: Parts, call: Call) -> Answer:
    """POST pods/NAME/eviction. Raises TooManyRequests when the budget is spent."""
    raw = await bodies.read(call.http)
    eviction = bodies.decode(raw, bodies.media_type(call.http), "Eviction", "policy/v1")
    options = DeleteOptions.read(eviction.get("deleteOptions"), Query(""))
    pod = parts.reader.get(call.resource, call.namespace, call.target.name).decode()
    if _disrupts(pod):
        await _spend(parts, call, pod)
    context = call.context(dry_run=options.dry_run or call.query.get("dryRun") == "All", subresource="")
    await parts.registry.delete(context, call.resource, options)
    return Answer(_CREATED, 201)


def _disrupts(pod: Object) -> bool:
    """Whether losing the pod counts: not when it has ended, has not begun, or is going already."""
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed", "Pending")
    return not ended and not pod["metadata"].get("deletionTimestamp")


async def _spend(parts: Parts, call: Call, pod: Object) -> None:
    labels = pod["metadata"].get("labels") or {}
    found = [
        budget
        for item in parts.reader.shelf(_BUDGETS).list(call.namespace)
        if from_label_selector((budget := item.decode()).get("spec", {}).get("selector")).matches(labels)
    ]
    if len(found) > 1:
        raise StatusError(_SEVERAL)
    for budget in found:
        name = budget["metadata"]["name"]

        def take(current: Object) -> Object:
            status = current.get("status") or {}
            if status.get("disruptionsAllowed", 0) <= 0:
                raise _spent(current)
            status["disruptionsAllowed"] -= 1
            status.setdefault("disruptedPods", {})[call.target.name] = call.timestamp
            return current

        try:
            await parts.registry.update(call.context(name, subresource="status"), _BUDGETS, take)
        except NotFound:
            continue


def _spent(budget: Object) -> TooManyRequests:
    status = budget.get("status") or {}
    name = budget["metadata"]["name"]
    needs = (
        f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods "
        f"and has {status.get('currentHealthy', 0)} currently"
    )
    return TooManyRequests(
        "Cannot evict pod as it would violate the pod's disruption budget.",
        details={"causes": [{"reason": "DisruptionBudget", "message": needs}]},
    )
