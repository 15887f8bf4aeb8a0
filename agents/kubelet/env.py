"""A container's environment: values, references, service variables. Pure; the caller looks up what is referenced.

The order is upstream's: service variables of the cluster first, then envFrom, then env, each overriding the one before;
`$(NAME)` sees what stands before it, and service variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from panal.bundled import BUNDLED

from . import podspec
from .fields import FieldError, Surroundings, field_value, resource_value
from .podspec import ContainerSpec, Pod

Lookup = Callable[[str, str], Mapping[str, Any] | None]
"""(kind, name) -> the ConfigMap or Secret of the pod's namespace; the values of a Secret are decoded bytes."""

_REFERENCE = re.compile(r"\$(\$|\(([^)]*)\))")


class ConfigError(ValueError):
    """The container cannot be configured as its pod says (CreateContainerConfigError)."""


def expand(text: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` replaced where known, `$$` by `$`; anything else stays as it is."""

    def one(match: re.Match[str]) -> str:
        if match.group(1) == "$":
            return "$"
        return known.get(match.group(2), match.group(0))

    return _REFERENCE.sub(one, text)


def environment(
    pod: Pod, spec: ContainerSpec, around: Surroundings, lookup: Lookup, services: Mapping[str, str]
) -> dict[str, str]:
    """Everything the container finds in its environment. Raises ConfigError with the message of the status."""
    found: dict[str, str] = {}
    for source in spec.get("envFrom") or ():
        found.update(_from(pod, source, lookup))
    known = {**services, **found}
    for entry in spec.get("env") or ():
        value = _value(pod, spec, entry, around, lookup, {**services, **found})
        if value is not None:
            found[entry["name"]] = known[entry["name"]] = value
    return {**services, **found}


def _from(pod: Pod, source: Mapping[str, Any], lookup: Lookup) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    for field, kind in (("configMapRef", "configmap"), ("secretRef", "secret")):
        if (ref := source.get(field)) is not None:
            obj = _object(pod, kind, ref, lookup)
            return {prefix + key: _text(value) for key, value in (obj or {}).items()}
    return {}


def _value(
    pod: Pod, spec: ContainerSpec, entry: Mapping[str, Any], around: Surroundings, lookup: Lookup, known: dict[str, str]
) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return expand(str(entry.get("value") or ""), known)
    try:
        if (field := source.get("fieldRef")) is not None:
            return field_value(pod, field["fieldPath"], around)
        if (field := source.get("resourceFieldRef")) is not None:
            return resource_value(pod, field, spec["name"], around)
    except (FieldError, ValueError) as error:
        raise ConfigError(str(error)) from error
    for field, kind, title in (("configMapKeyRef", "configmap", "ConfigMap"), ("secretKeyRef", "secret", "Secret")):
        if (ref := source.get(field)) is not None:
            return _key(pod, kind, title, ref, lookup)
    return None


def _key(pod: Pod, kind: str, title: str, ref: Mapping[str, Any], lookup: Lookup) -> str | None:
    obj = _object(pod, kind, ref, lookup)
    if obj is not None and ref["key"] in obj:
        return _text(obj[ref["key"]])
    if obj is None or ref.get("optional"):
        return None
    raise ConfigError(f"couldn't find key {ref['key']} in {title} {podspec.namespace(pod)}/{ref['name']}")


def _object(pod: Pod, kind: str, ref: Mapping[str, Any], lookup: Lookup) -> Mapping[str, Any] | None:
    obj = lookup(kind, ref.get("name") or "")
    if obj is None and not ref.get("optional"):
        raise ConfigError(f'{kind} "{ref.get("name") or ""}" not found')
    return obj


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def service_variables(pod: Pod, services: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The variables of the Services a pod sees: those of its namespace, and always default/kubernetes."""
    links = pod["spec"].get("enableServiceLinks") is not False
    found: dict[str, str] = {}
    for service in sorted(services, key=lambda item: (item["metadata"]["name"], item["metadata"]["namespace"])):
        meta, spec = service["metadata"], service["spec"]
        api = meta["name"] == "kubernetes" and meta["namespace"] == "default"
        if not (api or (links and meta["namespace"] == podspec.namespace(pod))):
            continue
        if spec.get("clusterIP") not in (None, "", "None") and spec.get("ports"):
            found.update(_of_service(meta["name"], spec))
    return found


def _of_service(name: str, spec: Mapping[str, Any]) -> dict[str, str]:
    prefix = name.upper().replace("-", "_")
    host, ports = spec["clusterIP"], spec["ports"]
    found = {f"{prefix}_SERVICE_HOST": host, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        if port.get("name"):
            found[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    for index, port in enumerate(ports):
        protocol = port.get("protocol") or "TCP"
        url = f"{protocol.lower()}://{host}:{port['port']}"
        if index == 0:
            found[f"{prefix}_PORT"] = url
        one = f"{prefix}_PORT_{port['port']}_{protocol}"
        found |= {one: url, f"{one}_PROTO": protocol.lower(), f"{one}_PORT": str(port["port"]), f"{one}_ADDR": host}
    return found


def own_variables(image: str, pod_ip: str, kubelet: Mapping[str, str]) -> dict[str, str]:
    """What Panal adds in the loopback network: POD_IP to bind, and how bundled programs learn of that network."""
    if kubelet.get("PANAL_NETWORK") != "loopback":
        return {}
    found = {"POD_IP": pod_ip}
    name = image.rpartition("@")[0] or image
    if name.rpartition(":")[0] in BUNDLED or name in BUNDLED:
        found |= {key: kubelet[key] for key in ("PANAL_NETWORK", "PANAL_LOW_PORTS") if key in kubelet}
    return found
