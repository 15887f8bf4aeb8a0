"""Checks of containers: names, images, ports, environment, mounts, probes, hooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, duplicate, forbidden, not_found, not_supported, required
from . import resources

Object = Mapping[str, Any]

PROTOCOLS = ("SCTP", "TCP", "UDP")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
NOT_NEGATIVE = "must be greater than or equal to 0"
_ENV_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
_OTHER_FIELDS = frozenset(
    ("metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host")
)
_ENV_RESOURCES = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
    "requests.memory",
)  # fmt: skip
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")


def containers(spec: Object, volumes: Mapping[str, Object], field: str) -> list[FieldError]:
    """The containers of a pod's specification at `field`, then its init containers."""
    found: Sequence[Object] = spec.get("containers") or ()
    if not found:
        return [required(f"{field}.containers")]
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, container in enumerate(found):
        where = f"{field}.containers[{index}]"
        errors += _container(container, spec, volumes, where)
        name = container.get("name")
        if name in names:
            errors.append(duplicate(f"{where}.name", name))
        elif name:
            names.add(name)
        errors += _hooks(container, where)
    errors += _host_ports(found, f"{field}.containers")
    for index, container in enumerate(spec.get("initContainers") or ()):
        where = f"{field}.initContainers[{index}]"
        errors += _container(container, spec, volumes, where)
        name = container.get("name")
        if name in names:
            errors.append(duplicate(f"{where}.name", name))
        elif name:
            names.add(name)
        errors += _init(container, where)
    return errors


def _init(container: Object, where: str) -> list[FieldError]:
    policy = container.get("restartPolicy")
    if policy == "Always":
        return _hooks(container, where)
    errors = []
    if policy is not None:
        errors.append(not_supported(f"{where}.restartPolicy", policy, ("Always",)))
    words = "may not be set for init containers without restartPolicy=Always"
    errors += [
        forbidden(f"{where}.{key}", words)
        for key in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
        if container.get(key) is not None
    ]
    return errors


def container(found: Object, spec: Object, volumes: Mapping[str, Object], where: str) -> list[FieldError]:
    """What holds for containers of every kind."""
    return _container(found, spec, volumes, where)


def _container(container: Object, spec: Object, volumes: Mapping[str, Object], where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    name = container.get("name")
    if not name:
        errors.append(required(f"{where}.name"))
    else:
        errors += [bad(f"{where}.name", name, complaint) for complaint in formats.label_name(name)]
    image = container.get("image", "")
    if not image:
        errors.append(required(f"{where}.image"))
    elif image.strip() != image:
        errors.append(bad(f"{where}.image", image, "must not have leading or trailing whitespace"))
    policy = container.get("terminationMessagePolicy", "File")
    if policy not in ("File", "FallbackToLogsOnError"):
        words = ("File", "FallbackToLogsOnError")
        errors.append(not_supported(f"{where}.terminationMessagePolicy", policy, words))
    errors += ports(container.get("ports") or (), bool(spec.get("hostNetwork")), f"{where}.ports")
    errors += environment(container.get("env") or (), f"{where}.env")
    errors += _environment_sources(container.get("envFrom") or (), f"{where}.envFrom")
    errors += _mounts(container.get("volumeMounts") or (), volumes, f"{where}.volumeMounts")
    pull = container.get("imagePullPolicy", "")
    if not pull:
        errors.append(required(f"{where}.imagePullPolicy"))
    elif pull not in PULL_POLICIES:
        errors.append(not_supported(f"{where}.imagePullPolicy", pull, PULL_POLICIES))
    if (found := container.get("resources")) is not None:
        errors += resources.requirements(found, f"{where}.resources")
    return errors


def ports(found: Sequence[Object], host_network: bool, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, port in enumerate(found):
        where = f"{field}[{index}]"
        name = port.get("name")
        if name:
            if complaints := formats.port_name(name):
                errors += [bad(f"{where}.name", name, complaint) for complaint in complaints]
            elif name in names:
                errors.append(duplicate(f"{where}.name", name))
            else:
                names.add(name)
        number, host = port.get("containerPort", 0), port.get("hostPort", 0)
        if number == 0:
            errors.append(required(f"{where}.containerPort"))
        else:
            errors += [bad(f"{where}.containerPort", number, text) for text in formats.port_number(number)]
        if host:
            errors += [bad(f"{where}.hostPort", host, text) for text in formats.port_number(host)]
            if host_network and host != number:
                words = "must match `containerPort` when `hostNetwork` is true"
                errors.append(bad(f"{where}.hostPort", host, words))
        protocol = port.get("protocol")
        if not protocol:
            errors.append(required(f"{where}.protocol"))
        elif protocol not in PROTOCOLS:
            errors.append(not_supported(f"{where}.protocol", protocol, PROTOCOLS))
    return errors


def _host_ports(found: Sequence[Object], field: str) -> list[FieldError]:
    """No two containers may ask for one port of the host."""
    errors = []
    taken: set[str] = set()
    for index, container in enumerate(found):
        for number, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            key = f"{port.get('protocol')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if key in taken:
                errors.append(duplicate(f"{field}[{index}].ports[{number}].hostPort", key))
            taken.add(key)
    return errors


def environment(found: Sequence[Object], field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, variable in enumerate(found):
        where = f"{field}[{index}]"
        name = variable.get("name", "")
        if not name:
            errors.append(required(f"{where}.name"))
        else:
            errors += [bad(f"{where}.name", name, complaint) for complaint in formats.environment_name(name)]
        if (source := variable.get("valueFrom")) is not None:
            errors += _value_from(source, variable.get("value", ""), f"{where}.valueFrom")
    return errors


def _value_from(source: Object, value: str, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if (reference := source.get("fieldRef")) is not None:
        errors += field_reference(reference, _ENV_FIELDS, f"{where}.fieldRef")
    if (reference := source.get("resourceFieldRef")) is not None:
        name = reference.get("resource", "")
        if not name:
            errors.append(required(f"{where}.resourceFieldRef.resource"))
        elif name not in _ENV_RESOURCES and not name.startswith(("limits.hugepages-", "requests.hugepages-")):
            errors.append(not_supported(f"{where}.resourceFieldRef.resource", name, _ENV_RESOURCES))
    for key in ("configMapKeyRef", "secretKeyRef"):
        if (reference := source.get(key)) is not None:
            if not reference.get("name"):
                errors.append(required(f"{where}.{key}.name"))
            if not reference.get("key"):
                errors.append(required(f"{where}.{key}.key"))
            else:
                errors += [bad(f"{where}.{key}.key", reference["key"], t) for t in formats.config_key(reference["key"])]
    if not source:
        words = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        errors.append(bad(where, "", words))
    elif value:
        errors.append(bad(where, "", "may not be specified when `value` is not empty"))
    elif len(source) > 1:
        errors.append(bad(where, "", "may not have more than one field specified at a time"))
    return errors


def field_reference(reference: Object, allowed: Sequence[str], where: str) -> list[FieldError]:
    """A downward API reference."""
    if not reference.get("apiVersion"):
        return [required(f"{where}.apiVersion")]
    path = reference.get("fieldPath", "")
    if not path:
        return [required(f"{where}.fieldPath")]
    base, bracket, rest = path.partition("['")
    if bracket and rest.endswith("']"):
        if base not in ("metadata.annotations", "metadata.labels"):
            return [bad(f"{where}.fieldPath", path, "does not support subscript")]
        key = rest[:-2]
        check = key.lower() if base == "metadata.annotations" else key
        return [bad(where, key, complaint) for complaint in formats.qualified_name(check)]
    if path not in allowed:
        if path in _ENV_FIELDS or path in _OTHER_FIELDS:
            return [not_supported(f"{where}.fieldPath", path, sorted(allowed))]
        words = f"error converting fieldPath: field label not supported: {path}"
        return [bad(f"{where}.fieldPath", path, words)]
    return []


def _environment_sources(found: Sequence[Object], field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, source in enumerate(found):
        where = f"{field}[{index}]"
        if prefix := source.get("prefix"):
            errors += [bad(f"{where}.prefix", prefix, complaint) for complaint in formats.environment_name(prefix)]
        kinds = [key for key in ("configMapRef", "secretRef") if source.get(key) is not None]
        errors += [required(f"{where}.{key}.name") for key in kinds if not source[key].get("name")]
        if not kinds:
            errors.append(bad(where, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(kinds) > 1:
            errors.append(bad(where, "", "may not have more than one field specified at a time"))
    return errors


def _mounts(found: Sequence[Object], volumes: Mapping[str, Object], field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    paths: set[str] = set()
    for index, mount in enumerate(found):
        where = f"{field}[{index}]"
        name, path = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            errors.append(required(f"{where}.name"))
        elif name not in volumes:
            errors.append(not_found(f"{where}.name", name))
        if not path:
            errors.append(required(f"{where}.mountPath"))
        elif path in paths:
            errors.append(bad(f"{where}.mountPath", path, "must be unique"))
        paths.add(path)
        for key in ("subPath", "subPathExpr"):
            if sub := mount.get(key):
                errors += relative_path(sub, f"{where}.{key}")
        if mount.get("subPath") and mount.get("subPathExpr"):
            errors.append(
                bad(f"{where}.subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive")
            )
    return errors


def relative_path(path: str, field: str) -> list[FieldError]:
    """A path inside a volume: relative, and never upwards."""
    errors = []
    if path.startswith("/"):
        errors.append(bad(field, path, "must be a relative path"))
    if ".." in path.split("/"):
        errors.append(bad(field, path, "must not contain '..'"))
    return errors


def _hooks(container: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    lifecycle = container.get("lifecycle") or {}
    for key in ("postStart", "preStop"):
        if (handler := lifecycle.get(key)) is not None:
            errors += _handler(handler, f"{where}.lifecycle.{key}", (*_HANDLERS[:3], "sleep"))
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := container.get(key)) is not None:
            errors += _probe(probe, f"{where}.{key}")
            success = probe.get("successThreshold", 1)
            if key != "readinessProbe" and success != 1:
                errors.append(bad(f"{where}.{key}.successThreshold", success, "must be 1"))
    return errors


def _probe(probe: Object, where: str) -> list[FieldError]:
    errors = _handler(probe, where, _HANDLERS)
    errors += [
        bad(f"{where}.{key}", probe[key], NOT_NEGATIVE)
        for key in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
        if probe.get(key, 0) < 0
    ]
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        errors.append(bad(f"{where}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    return errors


def _handler(handler: Object, where: str, kinds: Sequence[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    chosen = 0
    for key in kinds:
        action = handler.get(key)
        if action is None:
            continue
        if chosen:
            errors.append(forbidden(f"{where}.{key}", "may not specify more than 1 handler type"))
            continue
        chosen += 1
        if key == "exec" and not action.get("command"):
            errors.append(required(f"{where}.exec.command"))
        elif key == "httpGet":
            errors += _http_get(action, f"{where}.httpGet")
        elif key == "tcpSocket":
            errors += port(action.get("port"), f"{where}.tcpSocket.port")
        elif key == "grpc":
            errors += port(action.get("port"), f"{where}.grpc.port")
    if not chosen:
        errors.append(required(where, "must specify a handler type"))
    return errors


def _http_get(action: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if not action.get("path"):
        errors.append(required(f"{where}.path"))
    errors += port(action.get("port"), f"{where}.port")
    if action.get("scheme") not in ("HTTP", "HTTPS"):
        errors.append(not_supported(f"{where}.scheme", action.get("scheme", ""), ("HTTP", "HTTPS")))
    for index, header in enumerate(action.get("httpHeaders") or ()):
        name = header.get("name", "")
        errors += [bad(f"{where}.httpHeaders[{index}]", name, complaint) for complaint in formats.header_name(name)]
    return errors


def port(value: Any, field: str) -> list[FieldError]:
    """A port's number or name."""
    if isinstance(value, str):
        return [bad(field, value, complaint) for complaint in formats.port_name(value)]
    return [bad(field, value or 0, complaint) for complaint in formats.port_number(value or 0)]
