"""Services and EndpointSlices as kube-proxy keeps them: what it reads, and what many have alike only once.

Pure. With thousands of Services most of the memory is fields nobody reads and the same small values again and again.
Objects from an informer are never changed in place, so they may share their parts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from .table import PROXY_NAME_LABEL, SERVICE_NAME_LABEL

Object = dict[str, Any]

_SHARED_MOST = 4096
_SPEC = (
    "type", "clusterIP", "clusterIPs", "externalIPs", "loadBalancerSourceRanges", "sessionAffinityConfig",
    "externalTrafficPolicy", "healthCheckNodePort",
)  # fmt: skip
_DEFAULTS = {"sessionAffinity": "None", "internalTrafficPolicy": "Cluster"}
_shared: dict[bytes, Any] = {}


def service(obj: Object) -> Object:
    """What `table.service_ports` reads of a Service, and what an informer needs."""
    spec = obj.get("spec") or {}
    kept = {key: spec[key] for key in _SPEC if key in spec}
    for key in ("type", "externalTrafficPolicy"):
        if key in kept:
            kept[key] = _once(kept[key])
    if kept.get("clusterIPs") == [kept.get("clusterIP")]:
        del kept["clusterIPs"]
    kept.update({key: _once(spec[key]) for key, default in _DEFAULTS.items() if spec.get(key, default) != default})
    if spec.get("ports"):
        kept["ports"] = _once(spec["ports"])
    out: Object = {"metadata": _metadata(obj, (PROXY_NAME_LABEL,)), "spec": kept}
    if balanced := (obj.get("status") or {}).get("loadBalancer"):
        out["status"] = {"loadBalancer": balanced}
    return out


def endpoint_slice(obj: Object) -> Object:
    """What `table._candidates` reads of an EndpointSlice, and what an informer needs."""
    endpoints = []
    for endpoint in obj.get("endpoints") or ():
        kept = {"addresses": endpoint.get("addresses") or [], "conditions": _once(endpoint.get("conditions") or {})}
        if endpoint.get("nodeName"):
            kept["nodeName"] = _once(endpoint["nodeName"])
        endpoints.append(kept)
    return {
        "metadata": _metadata(obj, (SERVICE_NAME_LABEL, PROXY_NAME_LABEL)),
        "addressType": _once(obj.get("addressType")),
        "endpoints": endpoints,
        "ports": _once(obj.get("ports") or []),
    }


def _metadata(obj: Object, labels: Iterable[str]) -> Object:
    metadata = obj["metadata"]
    kept = {key: metadata[key] for key in ("name", "resourceVersion", "uid") if key in metadata}
    if "namespace" in metadata:
        kept["namespace"] = _once(metadata["namespace"])
    own = metadata.get("labels") or {}
    if found := {label: own[label] for label in labels if label in own}:
        kept["labels"] = found
    return kept


def _once(value: Any) -> Any:
    """The value, or an equal one that is kept already. Bounded: what comes after is not shared."""
    key = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    found = _shared.get(key)
    if found is None and value is not None:
        found = value
        if len(_shared) < _SHARED_MOST:
            _shared[key] = found
    return found
