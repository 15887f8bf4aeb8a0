"""What the API server warns of in a pod or a pod template, without refusing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def template_warnings(template: Mapping[str, Any] | None, field: str) -> list[str]:
    found = template or {}
    return pod_warnings(found.get("spec") or {}, found.get("metadata") or {}, f"{field}.")


def pod_warnings(spec: Mapping[str, Any], metadata: Mapping[str, Any], prefix: str) -> list[str]:
    """`prefix` goes before `spec`: empty for a pod, `spec.template.` for a template."""
    found = [
        f"{prefix}spec.topologySpreadConstraints[{index}].labelSelector: "
        "a null labelSelector results in matching no pod"
        for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ())
        if constraint.get("labelSelector") is None
    ]
    found += _duplicates(spec, prefix)
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        found.append(
            f"{prefix}spec.terminationGracePeriodSeconds: must be >= 0; "
            "negative values are invalid and will be treated as 1"
        )
    return found


def _duplicates(spec: Mapping[str, Any], prefix: str) -> list[str]:
    found: list[str] = []
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(kind) or ()):
            where = f"{prefix}spec.{kind}[{index}]"
            found += _variables(container.get("env") or (), f"{where}.env")
            found += _ports(container.get("ports") or (), f"{where}.ports")
    return found


def _variables(variables: Sequence[Mapping[str, Any]], where: str) -> list[str]:
    found: list[str] = []
    seen: set[str] = set()
    for index, variable in enumerate(variables):
        name = variable.get("name", "")
        if name in seen and "$" not in variable.get("value", ""):
            found.append(
                f'{where}[{index}]: hides previous definition of "{name}", which may be dropped when using apply'
            )
        seen.add(name)
    return found


def _ports(ports: Sequence[Mapping[str, Any]], where: str) -> list[str]:
    found: list[str] = []
    seen: dict[tuple[Any, Any], int] = {}
    for index, port in enumerate(ports):
        key = (port.get("containerPort"), port.get("protocol"))
        if key in seen:
            found.append(f"{where}[{index}]: duplicate port definition with {where}[{seen[key]}]")
        seen.setdefault(key, index)
    return found
