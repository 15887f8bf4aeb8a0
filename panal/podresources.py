"""What a pod asks for: its effective requests and limits, as the scheduler counts them (KEP-753 for sidecars). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from panal import quantity

Kind = Literal["requests", "limits"]


def effective(pod: Mapping[str, Any], kind: Kind, resource: str) -> int:
    """Thousandths of `cpu`, else whole units: the sum of its containers and sidecars, or its largest init container
    with the sidecars started before it, whichever is more; plus the pod's overhead."""
    spec = pod["spec"]
    running = sum(_amount(item, kind, resource) for item in spec.get("containers") or ())
    sidecars = largest = 0
    for item in spec.get("initContainers") or ():
        amount = _amount(item, kind, resource)
        if item.get("restartPolicy") == "Always":
            sidecars += amount
            largest = max(largest, sidecars)
        else:
            largest = max(largest, sidecars + amount)
    overhead = (spec.get("overhead") or {}).get(resource)
    return max(running + sidecars, largest) + (_count(resource, overhead) if overhead else 0)


def _amount(container: Mapping[str, Any], kind: Kind, resource: str) -> int:
    resources = container.get("resources") or {}
    text = (resources.get(kind) or {}).get(resource)
    if text is None and kind == "requests":
        text = (resources.get("limits") or {}).get(resource)
    return _count(resource, text) if text else 0


def _count(resource: str, text: Any) -> int:
    return quantity.milli(text) if resource == "cpu" else quantity.whole(text)
