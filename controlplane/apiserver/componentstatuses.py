"""ComponentStatuses: how the control plane does, asked for when somebody wants to know; nothing of it is stored.

The scheduler and the controller manager have no port of their own here: they are well while they renew their Leases.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import orjson

from panal.errors import StatusError, not_found
from panal.resources import resource

from . import forms
from .answers import Answer
from .cache import Item
from .context import Call, Parts
from .reading import Listed, selection

Object = dict[str, Any]

_LEASES = resource("leases")
_SPACE = "kube-system"
_PORTS = {"controller-manager": 10257, "scheduler": 10259}
"""Where Kubernetes asks them."""


async def list_(parts: Parts, call: Call) -> Answer:
    chosen = selection(call.target, call.query, lambda obj: {"metadata.name": obj["metadata"]["name"]})
    found = [item for item in await _all(parts) if chosen.matches(item)]
    listed = Listed(found, parts.cache.revision)
    return Answer(forms.many(call.resource, listed, call.form, call.timestamp, call.query.get("includeObject")))


async def get(parts: Parts, call: Call) -> Answer:
    """Raises NotFound."""
    item = next((each for each in await _all(parts) if each.name == call.target.name), None)
    if item is None:
        raise not_found(call.resource.plural, "", call.target.name)
    if not call.form.kind:
        return Answer(item.body)
    return Answer(forms.one(call.resource, item.body, call.form, call.timestamp, call.query.get("includeObject")))


async def _all(parts: Parts) -> list[Item]:
    told = {name: _leading(parts, name, port) for name, port in _PORTS.items()}
    try:
        await parts.reader.probe()
        told["etcd-0"] = ""
    except (OSError, StatusError) as error:
        told["etcd-0"] = str(error)
    return [_item(name, why) for name, why in sorted(told.items())]


def _leading(parts: Parts, name: str, port: int) -> str:
    """Why a component is not well; "" while its leader renews the Lease."""
    item = parts.reader.shelf(_LEASES).get(_SPACE, f"kube-{name}")
    lease: Object = item.decode()["spec"] if item is not None else {}
    renewed, lasts = lease.get("renewTime"), lease.get("leaseDurationSeconds") or 15
    if renewed and parts.now() - datetime.fromisoformat(renewed).timestamp() < lasts:
        return ""
    return f'Get "https://127.0.0.1:{port}/healthz": dial tcp 127.0.0.1:{port}: connect: connection refused'


def _item(name: str, why: str) -> Item:
    condition = {"type": "Healthy", "status": "False" if why else "True"}
    condition |= {"message": why} if why else {"message": "ok"}
    obj = {"kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name}, "conditions": [condition]}
    return Item("", name, 0, orjson.dumps(obj))


VERBS: dict[str, Callable[[Parts, Call], Awaitable[Answer]]] = {"get": get, "list": list_}
