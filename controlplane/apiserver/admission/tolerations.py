"""DefaultTolerationSeconds: a pod that says nothing else stays five minutes on a node that is not ready."""

from __future__ import annotations

from typing import Any

from panal.resources import PODS

from .attributes import Attributes, Object, Reader

_KEYS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_SECONDS = 300


def admit(attributes: Attributes, reader: Reader) -> None:
    if attributes.resource != PODS or attributes.subresource or attributes.operation != "CREATE":
        return
    spec: Object = attributes.obj.setdefault("spec", {})
    tolerations: list[Any] = list(spec.get("tolerations") or ())
    for key in _KEYS:
        if not any(_tolerates(toleration, key) for toleration in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _SECONDS})
    spec["tolerations"] = tolerations


def _tolerates(toleration: Object, key: str) -> bool:
    return toleration.get("key") in (None, "", key) and toleration.get("effect") in (None, "", "NoExecute")
