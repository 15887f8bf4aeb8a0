"""Checks of a container's environment: variables, where their values come from, and whole sources of them."""

from __future__ import annotations

from collections.abc import Sequence

from panal import formats

from ..fielderrors import FieldError, bad, not_supported, required
from ..quantities import canonical
from .checks import Object, formatted, items, lacking, name, optional_name
from .paths import unreserved

_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
_OTHER_FIELDS = frozenset(
    ("metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host")
)
_RESOURCES = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
    "requests.memory",
)  # fmt: skip
_HUGE = ("limits.hugepages-", "requests.hugepages-")
_UNITS = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_DIVIDED = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def environment(found: Sequence[Object] | None, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for variable, where in items(found, field):
        errors += name(variable.get("name"), f"{where}.name", formats.environment_name)
        if (source := variable.get("valueFrom")) is not None:
            errors += _value_from(source, variable.get("value", ""), f"{where}.valueFrom")
    return errors


def _value_from(source: Object, value: str, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    given = [key for key in _SOURCES if source.get(key) is not None]
    for key in given:
        reference, at = source[key], f"{where}.{key}"
        if key == "fieldRef":
            errors += field_reference(reference, _FIELDS, at)
        elif key == "resourceFieldRef":
            errors += resource_reference(reference, at, volume=False)
        elif key == "fileKeyRef":
            errors += name(reference.get("key"), f"{at}.key", formats.environment_name)
            errors += lacking(reference, at, "volumeName", "path") + unreserved(reference.get("path", ""), f"{at}.path")
        else:
            errors += formatted(reference.get("name", ""), f"{at}.name", formats.subdomain_name)
            errors += name(reference.get("key"), f"{at}.key", formats.config_key)
    if not given:
        words = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        errors.append(bad(where, "", words))
    elif value:
        errors.append(bad(where, "", "may not be specified when `value` is not empty"))
    elif len(given) > 1:
        errors.append(bad(where, "", "may not have more than one field specified at a time"))
    return errors


def field_reference(reference: Object, allowed: Sequence[str], where: str) -> list[FieldError]:
    """A downward API reference to a field of the pod."""
    if not reference.get("apiVersion"):
        return [required(f"{where}.apiVersion")]
    path = reference.get("fieldPath", "")
    if not path:
        return [required(f"{where}.fieldPath")]
    base, bracket, rest = path.partition("['")
    if bracket and rest.endswith("']"):
        key = rest[:-2]
        if base == "metadata.annotations":
            return formatted(key.lower(), where, formats.qualified_name)
        if base == "metadata.labels":
            return formatted(key, where, formats.qualified_name)
        if base in _FIELDS or base in _OTHER_FIELDS:
            return [bad(where, base, "does not support subscript")]
    elif path in allowed:
        return []
    elif path in _FIELDS or path in _OTHER_FIELDS:
        return [not_supported(f"{where}.fieldPath", path, sorted(allowed))]
    words = f"error converting fieldPath: field label not supported: {path}"
    return [bad(f"{where}.fieldPath", path, words)]


def resource_reference(reference: Object, where: str, *, volume: bool) -> list[FieldError]:
    """A downward API reference to what a container asks for; `volume` has to name the container."""
    asked = reference.get("resource", "")
    errors: list[FieldError] = []
    if volume and not reference.get("containerName"):
        errors.append(required(f"{where}.containerName"))
    elif not asked:
        errors.append(required(f"{where}.resource"))
    elif asked not in _RESOURCES and not asked.startswith(_HUGE):
        errors.append(not_supported(f"{where}.resource", asked, _RESOURCES))
    return errors + _divisor(asked, canonical(str(reference.get("divisor") or "0")), f"{where}.divisor")


def _divisor(asked: str, divisor: str, field: str) -> list[FieldError]:
    if divisor == "0":
        return []
    kind = asked.partition(".")[2]
    if kind == "cpu":
        if divisor in ("1m", "1"):
            return []
        return [bad(field, asked, "only divisor's values 1m and 1 are supported with the cpu resource")]
    shown = _DIVIDED.get(kind) or ("hugepages" if asked.startswith(_HUGE) else "")
    if not shown or divisor in _UNITS:
        return []
    return [bad(field, asked, f"only divisor's values {', '.join(_UNITS)} are supported with the {shown} resource")]


def sources(found: Sequence[Object] | None, field: str) -> list[FieldError]:
    """`envFrom`. Kubernetes does not say which one names no source, or two."""
    errors: list[FieldError] = []
    for source, where in items(found, field):
        errors += optional_name(source.get("prefix"), f"{where}.prefix", formats.environment_name)
        given = [key for key in ("configMapRef", "secretRef") if source.get(key) is not None]
        for key in given:
            errors += name(source[key].get("name"), f"{where}.{key}.name", formats.subdomain_name)
        if not given:
            errors.append(bad(field, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(given) > 1:
            errors.append(bad(field, "", "may not have more than one field specified at a time"))
    return errors
