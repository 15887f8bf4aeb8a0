"""What the API server warns of in a pod or a pod template, without refusing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from panal.quantity import parse

_OLD_LABELS = {
    "beta.kubernetes.io/arch": ("v1.14", "kubernetes.io/arch"),
    "beta.kubernetes.io/os": ("v1.14", "kubernetes.io/os"),
    "failure-domain.beta.kubernetes.io/region": ("v1.17", "topology.kubernetes.io/region"),
    "failure-domain.beta.kubernetes.io/zone": ("v1.17", "topology.kubernetes.io/zone"),
    "beta.kubernetes.io/instance-type": ("v1.17", "node.kubernetes.io/instance-type"),
}
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_BYTES = ("memory", "ephemeral-storage")


def template_warnings(template: Mapping[str, Any] | None, field: str) -> list[str]:
    found = template or {}
    return pod_warnings(found.get("spec") or {}, found.get("metadata") or {}, f"{field}.")


def pod_warnings(spec: Mapping[str, Any], metadata: Mapping[str, Any], prefix: str) -> list[str]:
    """`prefix` goes before `spec`: empty for a pod, `spec.template.` for a template."""
    found = [*_old_labels(spec, f"{prefix}spec")]
    found += [
        f"{prefix}spec.topologySpreadConstraints[{index}].labelSelector: "
        "a null labelSelector results in matching no pod"
        for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ())
        if constraint.get("labelSelector") is None
    ]
    for kind, key, what in (("hostAliases", "ip", "ip"), ("imagePullSecrets", "name", "name")):
        found += _twice(spec.get(kind) or (), f"{prefix}spec.{kind}", key, what)
    found += [
        f'{prefix}spec.imagePullSecrets[{index}].name: invalid empty name ""'
        for index, secret in enumerate(spec.get("imagePullSecrets") or ())
        if not secret.get("name")
    ]
    found += _duplicates(spec, prefix)
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        found.append(
            f"{prefix}spec.terminationGracePeriodSeconds: must be >= 0; "
            "negative values are invalid and will be treated as 1"
        )
    return found


def _old_labels(spec: Mapping[str, Any], where: str) -> Iterator[str]:
    """Labels of nodes that have newer names."""
    for key in sorted(spec.get("nodeSelector") or {}):
        if key in _OLD_LABELS:
            yield f"{where}.nodeSelector[{key}]: {_newer(key)}"
    needed = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED) or {}
    for number, term in enumerate(needed.get("nodeSelectorTerms") or ()):
        at = f"{where}.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms[{number}]"
        for index, expression in enumerate(term.get("matchExpressions") or ()):
            if (key := expression.get("key", "")) in _OLD_LABELS:
                yield f"{at}.matchExpressions[{index}].key: {key} is {_newer(key)}"


def _newer(label: str) -> str:
    since, name = _OLD_LABELS[label]
    return f'deprecated since {since}; use "{name}" instead'


def _twice(items: Sequence[Mapping[str, Any]], where: str, key: str, what: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, item in enumerate(items):
        value = item.get(key, "")
        if value in seen:
            yield f'{where}[{index}].{key}: duplicate {what} "{value}"'
        seen.add(value)


def _fractions(resources: Mapping[str, Any], where: str) -> Iterator[str]:
    """`memory: 100m` is a tenth of a byte, and hardly what was meant."""
    for kind in ("limits", "requests"):
        for name in _BYTES:
            value = (resources.get(kind) or {}).get(name)
            if value is not None and parse(value) % 1:
                yield f'{where}.{kind}[{name}]: fractional byte value "{value}" is invalid, must be an integer'


def _duplicates(spec: Mapping[str, Any], prefix: str) -> list[str]:
    found: list[str] = []
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(kind) or ()):
            where = f"{prefix}spec.{kind}[{index}]"
            found += _fractions(container.get("resources") or {}, f"{where}.resources")
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
