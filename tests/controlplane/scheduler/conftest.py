"""Small nodes and pods for scheduling stories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from panal.controlplane.scheduler.snapshot import NodeInfo, PodInfo, Snapshot, node_info, pod_info

Object = dict[str, Any]


def node(
    name: str, *on: PodInfo, cpu: str = "4", memory: str = "8Gi", pods: str = "110", taints: Any = (), **changes: Any
) -> NodeInfo:
    labels = {"kubernetes.io/hostname": name, **changes.pop("labels", {})}
    amounts = {"cpu": cpu, "memory": memory, "pods": pods, **changes.pop("more", {})}
    obj = {
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [_taint(item) for item in taints], **changes.pop("spec", {})},
        "status": {"allocatable": amounts, **changes.pop("status", {})},
    }
    info = node_info(obj)
    for pod in on:
        info = info.with_pod(pod)
    return info


def _taint(text: str) -> Object:
    """key=value:Effect, as kubectl writes taints."""
    head, _, effect = text.rpartition(":")
    key, _, value = head.partition("=")
    return {"key": key, "value": value, "effect": effect}


def pod(
    name: str = "pod", *, cpu: str = "", memory: str = "", owner: str = "", labels: Any = None, **spec: Any
) -> PodInfo:
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    container: Object = {"name": "c", "image": "i", "resources": {"requests": requests}}
    if "ports" in spec:
        container["ports"] = spec.pop("ports")
    meta: Object = {"name": name, "namespace": "default", "uid": name, "labels": labels or {}}
    if owner:
        meta["ownerReferences"] = [{"uid": owner, "controller": True}]
    return pod_info({"metadata": meta, "spec": {"containers": [container], **spec}})


def snapshot(*nodes: NodeInfo) -> Snapshot:
    return Snapshot({info.name: info for info in nodes})


@pytest.fixture(name="node")
def _node() -> Callable[..., NodeInfo]:
    return node


@pytest.fixture(name="pod")
def _pod() -> Callable[..., PodInfo]:
    return pod


@pytest.fixture(name="snapshot")
def _snapshot() -> Callable[..., Snapshot]:
    return snapshot
