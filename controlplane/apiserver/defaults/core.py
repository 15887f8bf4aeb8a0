"""Defaults of the core group's kinds other than pods."""

from __future__ import annotations

import base64
from typing import Any

from ..quantities import canonical

Object = dict[str, Any]

AFFINITY_SECONDS = 10800


def service(obj: Object) -> None:
    spec = obj["spec"]
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        client.setdefault("timeoutSeconds", AFFINITY_SECONDS)
    kind = spec.setdefault("type", "ClusterIP")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port", 0)
    external = kind in ("NodePort", "LoadBalancer")
    if external or (kind == "ClusterIP" and spec.get("externalIPs")):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if external or kind == "ClusterIP":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        for balanced in ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
            if balanced.get("ip"):
                balanced.setdefault("ipMode", "VIP")


def endpoints(obj: Object) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")


def secret(obj: Object) -> None:
    """The type; and `stringData`, which is only a way to write `data`."""
    obj.setdefault("type", "Opaque")
    for key, value in (obj.pop("stringData", None) or {}).items():
        obj.setdefault("data", {})[key] = base64.b64encode(value.encode()).decode()


def namespace(obj: Object) -> None:
    """Every namespace can be selected by its name."""
    name = obj["metadata"].get("name")
    if name:
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name


def node(obj: Object) -> None:
    status = obj.get("status") or {}
    if "capacity" in status:
        status.setdefault("allocatable", dict(status["capacity"]))


def persistent_volume(obj: Object) -> None:
    spec = obj["spec"]
    if not obj["status"].get("phase"):
        obj["status"]["phase"] = "Pending"
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    if "hostPath" in spec:
        spec["hostPath"].setdefault("type", "")


def persistent_volume_claim(obj: Object) -> None:
    if not obj["status"].get("phase"):
        obj["status"]["phase"] = "Pending"
    obj["spec"].setdefault("volumeMode", "Filesystem")


def limit_range(obj: Object) -> None:
    """For containers: the default limit is the maximum; the default request the default limit, or the minimum."""
    for item in obj["spec"].get("limits") or ():
        if item.get("type") != "Container":
            continue
        default = item.get("default") or {}
        for name, amount in (item.get("max") or {}).items():
            default.setdefault(name, amount)
        request = item.get("defaultRequest") or {}
        for name, amount in default.items():
            request.setdefault(name, amount)
        for name, amount in (item.get("min") or {}).items():
            request.setdefault(name, amount)
        for key, value in (("default", default), ("defaultRequest", request)):
            if value:
                item[key] = {name: canonical(amount) for name, amount in value.items()}


def replication_controller(obj: Object) -> None:
    spec = obj["spec"]
    spec.setdefault("replicas", 1)
    template = spec.get("template")
    if template is None:
        return
    labels = (template.get("metadata") or {}).get("labels")
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        if not obj["metadata"].get("labels"):
            obj["metadata"]["labels"] = dict(labels)
