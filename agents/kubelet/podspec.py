"""Reading a pod: the few questions that every part of the kubelet asks, with the API's defaults for static pods.

Pods are dicts as the API sends them and are never changed here.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Pod = Mapping[str, Any]
ContainerSpec = Mapping[str, Any]

MIRROR = "kubernetes.io/config.mirror"
SOURCE = "kubernetes.io/config.source"
HASH = "kubernetes.io/config.hash"
SEEN = "kubernetes.io/config.seen"

HASH_LABEL = "io.kubernetes.container.hash"
"""A container's label that tells whether it runs what its pod says."""

DEFAULT_GRACE = 30
"""terminationGracePeriodSeconds where a static pod's manifest says none."""


def name(pod: Pod) -> str:
    return str(pod["metadata"]["name"])


def namespace(pod: Pod) -> str:
    return str(pod["metadata"].get("namespace") or "default")


def uid(pod: Pod) -> str:
    return str(pod["metadata"]["uid"])


def key(pod: Pod) -> tuple[str, str]:
    return namespace(pod), name(pod)


def described(pod: Pod) -> str:
    """As messages name it: name_namespace(uid)."""
    return f"{name(pod)}_{namespace(pod)}({uid(pod)})"


def notes(pod: Pod) -> Mapping[str, str]:
    """Its annotations."""
    found: Mapping[str, str] = pod["metadata"].get("annotations") or {}
    return found


def is_static(pod: Pod) -> bool:
    """Whether the pod comes from a file of the node, not from the API."""
    source = notes(pod).get(SOURCE)
    return source is not None and source != "api" and MIRROR not in notes(pod)


def is_mirror(pod: Pod) -> bool:
    return MIRROR in notes(pod)


def containers(pod: Pod) -> Sequence[ContainerSpec]:
    return pod["spec"].get("containers") or ()


def init_containers(pod: Pod) -> Sequence[ContainerSpec]:
    return pod["spec"].get("initContainers") or ()


def ephemeral_containers(pod: Pod) -> Sequence[ContainerSpec]:
    return pod["spec"].get("ephemeralContainers") or ()


def is_ephemeral(pod: Pod, spec: ContainerSpec) -> bool:
    """Whether the container was put into the running pod to look around in it: it runs once and counts for nothing."""
    return any(item["name"] == spec["name"] for item in ephemeral_containers(pod))


def every_container(pod: Pod) -> Iterator[ContainerSpec]:
    yield from init_containers(pod)
    yield from containers(pod)
    yield from ephemeral_containers(pod)


def container(pod: Pod, wanted: str) -> ContainerSpec | None:
    return next((spec for spec in every_container(pod) if spec["name"] == wanted), None)


def field_of(pod: Pod, wanted: str) -> str:
    """The list of the spec in which a container stands."""
    for field in ("initContainers", "ephemeralContainers"):
        if any(item["name"] == wanted for item in pod["spec"].get(field) or ()):
            return field
    return "containers"


def is_sidecar(spec: ContainerSpec) -> bool:
    """Whether an init container keeps running beside the pod's containers (restartPolicy Always)."""
    return spec.get("restartPolicy") == "Always"


def sidecars(pod: Pod) -> Sequence[ContainerSpec]:
    return [spec for spec in init_containers(pod) if is_sidecar(spec)]


def restart_policy(pod: Pod) -> str:
    return pod["spec"].get("restartPolicy") or "Always"


def host_network(pod: Pod) -> bool:
    return bool(pod["spec"].get("hostNetwork"))


def deleted(pod: Pod) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def grace_seconds(pod: Pod) -> float:
    """Seconds its containers may take to end: the deletion's own grace, else the pod's; at least 1, as upstream."""
    grace = pod["metadata"].get("deletionGracePeriodSeconds") if deleted(pod) else None
    if grace is None:
        grace = pod["spec"].get("terminationGracePeriodSeconds")
    return max(1.0, float(DEFAULT_GRACE if grace is None else grace))


def spec_hash(spec: ContainerSpec) -> str:
    """Changes when a running container must be replaced; as upstream, only its image can change."""
    return hashlib.sha256(f"{spec['name']}\0{spec.get('image', '')}".encode()).hexdigest()[:16]


def status_of(pod: Pod, container_name: str) -> Mapping[str, Any] | None:
    """What the API's copy of the pod says about one of its containers."""
    status = pod.get("status") or {}
    for field in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for entry in status.get(field) or ():
            if entry["name"] == container_name:
                found: Mapping[str, Any] = entry
                return found
    return None


def timestamp(seconds: float) -> str:
    """metav1.Time: whole seconds, UTC."""
    return _timestamp(int(seconds))


@functools.lru_cache(64)
def _timestamp(seconds: int) -> str:
    """A pod's status says the same few times again and again."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time, nanoseconds cut. Raises ValueError."""
    head, dot, rest = text.partition(".")
    if dot:
        digits = len(rest) - len(rest.lstrip("0123456789"))
        text = f"{head}.{rest[:digits][:6]:0<6}{rest[digits:]}"
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
