"""Rows of the core group but for pods."""

from __future__ import annotations

from typing import Any

from .. import ages
from .cells import NONE, Object, Row, age, containers, few, labels, name

_UNSET = "<unset>"
_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_ROLE = "node-role.kubernetes.io/"


def config_map(obj: Object, now: float) -> list[Any]:
    return [name(obj), len(obj.get("data") or {}) + len(obj.get("binaryData") or {}), age(obj, now)]


def secret(obj: Object, now: float) -> list[Any]:
    return [name(obj), obj.get("type", ""), len(obj.get("data") or {}), age(obj, now)]


def service_account(obj: Object, now: float) -> list[Any]:
    return [name(obj), age(obj, now)]


def namespace(obj: Object, now: float) -> list[Any]:
    return [name(obj), (obj.get("status") or {}).get("phase", ""), age(obj, now)]


def limit_range(obj: Object, now: float) -> list[Any]:
    return [name(obj), obj["metadata"].get("creationTimestamp")]


def endpoints(obj: Object, now: float) -> list[Any]:
    found = []
    for subset in obj.get("subsets") or ():
        ports = subset.get("ports") or ()
        for address in subset.get("addresses") or ():
            found += [f"{address['ip']}:{port['port']}" for port in ports] if ports else [address["ip"]]
    return [name(obj), few(found) or NONE, age(obj, now)]


def component_status(obj: Object, now: float) -> list[Any]:
    healthy: Object = next((c for c in obj.get("conditions") or () if c.get("type") == "Healthy"), {})
    status = "Healthy" if healthy.get("status") == "True" else "Unhealthy"
    return [name(obj), status, healthy.get("message", ""), healthy.get("error", "")]


def event(obj: Object, now: float) -> list[Any]:
    """Of both groups: events.k8s.io calls the same fields regarding, note, deprecated..."""
    series = obj.get("series") or {}
    target = obj.get("involvedObject") or obj.get("regarding") or {}
    first = obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp")
    last = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp")
    count = obj.get("count") or obj.get("deprecatedCount") or 1
    event_time = obj.get("eventTime")
    first_seen = ages.since(first or event_time, now)
    last_seen = ages.since(last, now) if last else first_seen
    if series:
        last_seen, count = ages.since(series.get("lastObservedTime"), now), series.get("count", count)
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    component = source.get("component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    host = source.get("host") or obj.get("reportingInstance") or ""
    kind = str(target.get("kind", "")).lower()
    return [
        last_seen,
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{target['name']}" if target.get("name") else kind,
        target.get("fieldPath", ""),
        f"{component}, {host}" if host else component,
        str(obj.get("message") or obj.get("note") or "").strip(),
        first_seen,
        count,
        name(obj),
    ]


def node(obj: Object, now: float) -> list[Any]:
    status = obj.get("status") or {}
    info = status.get("nodeInfo") or {}
    return [
        name(obj),
        _node_status(obj, status),
        _roles(obj["metadata"].get("labels") or {}),
        age(obj, now),
        info.get("kubeletVersion", ""),
        _address(status, "InternalIP"),
        _address(status, "ExternalIP"),
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _node_status(obj: Object, status: Object) -> str:
    ready = next((c for c in status.get("conditions") or () if c["type"] == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready["status"] == "True" else "NotReady"]
    if (obj.get("spec") or {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(found: dict[str, str]) -> str:
    roles = {key.removeprefix(_ROLE) for key in found if key.startswith(_ROLE) and key != _ROLE}
    if role := found.get("kubernetes.io/role"):
        roles.add(role)
    return ",".join(sorted(roles)) or NONE


def _address(status: Object, kind: str) -> str:
    return next((each["address"] for each in status.get("addresses") or () if each["type"] == kind), NONE)


def replication_controller(obj: Object, now: float) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    template = containers(spec.get("template") or {})
    return [name(obj), *counts, age(obj, now), *template, labels(spec.get("selector"))]


def pod_template(obj: Object, now: float) -> list[Any]:
    template = obj.get("template") or {}
    return [name(obj), *containers(template), labels((template.get("metadata") or {}).get("labels"))]


def resource_quota(obj: Object, now: float) -> list[Any]:
    status = obj.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    requests: list[str] = []
    limits: list[str] = []
    for key in sorted(hard):
        text = f"{key}: {used.get(key, '0')}/{hard[key]}"
        (limits if key.startswith("limits") else requests).append(text)
    return [name(obj), ", ".join(requests), ", ".join(limits), age(obj, now)]


def _modes(modes: Any) -> str:
    return ",".join(short for full, short in _MODES.items() if full in (modes or ()))


def claim(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    phase = "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", "")
    bound = bool(spec.get("volumeName"))
    return [
        name(obj),
        phase,
        spec.get("volumeName", ""),
        (status.get("capacity") or {}).get("storage", "") if bound else "",
        _modes(status.get("accessModes")) if bound else "",
        _class(obj, spec),
        spec.get("volumeAttributesClassName") or _UNSET,
        age(obj, now),
        spec.get("volumeMode") or _UNSET,
    ]


def volume(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    owner = spec.get("claimRef") or {}
    phase = "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", "")
    return [
        name(obj),
        (spec.get("capacity") or {}).get("storage", ""),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        phase,
        f"{owner['namespace']}/{owner['name']}" if owner else "",
        _class(obj, spec),
        spec.get("volumeAttributesClassName") or _UNSET,
        status.get("reason", ""),
        age(obj, now),
        spec.get("volumeMode") or _UNSET,
    ]


def _class(obj: Object, spec: Object) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    return str(annotations.get("volume.beta.kubernetes.io/storage-class") or spec.get("storageClassName") or "")


CORE: dict[tuple[str, str], Row] = {
    ("", "configmaps"): config_map,
    ("", "secrets"): secret,
    ("", "serviceaccounts"): service_account,
    ("", "namespaces"): namespace,
    ("", "limitranges"): limit_range,
    ("", "endpoints"): endpoints,
    ("", "componentstatuses"): component_status,
    ("", "events"): event,
    ("events.k8s.io", "events"): event,
    ("", "nodes"): node,
    ("", "replicationcontrollers"): replication_controller,
    ("", "podtemplates"): pod_template,
    ("", "resourcequotas"): resource_quota,
    ("", "persistentvolumeclaims"): claim,
    ("", "persistentvolumes"): volume,
}
