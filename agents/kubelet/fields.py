"""Fields of a pod by path, for env and the downward API: `metadata.labels['app']`, `limits.cpu`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING
from typing import Any

from panal import quantity

from . import podspec
from .podspec import Pod

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")


class FieldError(ValueError):
    """A field path that means nothing here."""


@dataclass(frozen=True)
class Surroundings:
    """What a pod's fields need to know beside the pod: addresses, and the node's resources for absent limits."""

    pod_ip: str
    host_ip: str
    node_name: str
    node_cpu: str
    node_memory: str


def field_value(pod: Pod, path: str, around: Surroundings) -> str:
    """The value of a fieldRef. Raises FieldError."""
    if match := _SUBSCRIPT.fullmatch(path):
        kind, key = match.groups()
        return str((pod["metadata"].get(kind) or {}).get(key, ""))
    match path:
        case "metadata.name":
            return podspec.name(pod)
        case "metadata.namespace":
            return podspec.namespace(pod)
        case "metadata.uid":
            return podspec.uid(pod)
        case "metadata.labels" | "metadata.annotations":
            return _formatted(pod["metadata"].get(path.removeprefix("metadata.")) or {})
        case "spec.nodeName":
            return around.node_name
        case "spec.serviceAccountName":
            return str(pod["spec"].get("serviceAccountName") or "")
        case "status.hostIP" | "status.hostIPs":
            return around.host_ip
        case "status.podIP" | "status.podIPs":
            return around.pod_ip
    raise FieldError(f"unsupported fieldPath: {path}")


def _formatted(entries: Mapping[str, str]) -> str:
    """`key="value"` lines in order of the keys, as the downward API writes maps."""
    return "\n".join(f"{key}={_quoted(entries[key])}" for key in sorted(entries))


def _quoted(text: str) -> str:
    """As Go's %q for ordinary text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def resource_value(pod: Pod, ref: Mapping[str, Any], container: str | None, around: Surroundings) -> str:
    """The value of a resourceFieldRef, divided and rounded up; an absent limit is the node's. Raises FieldError."""
    spec = podspec.container(pod, ref.get("containerName") or container or "")
    if spec is None:
        raise FieldError(f"container {ref.get('containerName')} not found")
    which, _, kind = str(ref["resource"]).partition(".")
    if which not in ("limits", "requests"):
        raise FieldError(f"unsupported container resource : {ref['resource']}")
    resources = spec.get("resources") or {}
    limits = resources.get("limits") or {}
    amounts = limits if which == "limits" else {**limits, **(resources.get("requests") or {})}
    default = {"cpu": around.node_cpu, "memory": around.node_memory}.get(kind, "0") if which == "limits" else "0"
    divisor = quantity.parse(str(ref.get("divisor") or "0")) or quantity.parse("1")
    value = quantity.parse(str(amounts.get(kind, default))) / divisor
    return str(int(value.to_integral_value(ROUND_CEILING)))
