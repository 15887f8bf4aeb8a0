"""TaintNodesByCondition: a new node takes no pods until the node lifecycle controller has seen it ready."""

from __future__ import annotations

from panal.resources import NODES

from .attributes import Attributes, Reader

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def admit(attributes: Attributes, reader: Reader) -> None:
    if not attributes.creates(NODES):
        return
    taints = attributes.obj.setdefault("spec", {}).setdefault("taints", [])
    if not any(taint.get("key") == NOT_READY["key"] and taint.get("effect") == NOT_READY["effect"] for taint in taints):
        taints.append(dict(NOT_READY))
