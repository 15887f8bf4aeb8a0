"""Checks of a pod's containers: those that run, those that prepare for them, and those that are added later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, duplicate, forbidden, not_found, not_supported, required
from . import resources, security
from .checks import Object, choice, formatted, items, name, optional_choice
from .environment import environment, sources
from .handlers import PROBES, hooks, port
from .mounts import devices, mounts

PROTOCOLS = ("SCTP", "TCP", "UDP")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGES = ("File", "FallbackToLogsOnError")
_RESTARTS = ("Always", "Never", "OnFailure")
_RESTART_RULES, _EXIT_CODES = 20, 255
_NOT_EPHEMERAL = (
    "ports", "resources", "resizePolicy", "restartPolicy", "restartPolicyRules", "livenessProbe", "readinessProbe",
    "startupProbe", "lifecycle",
)  # fmt: skip


@dataclass(frozen=True)
class Pod:
    """What of its pod a container's checks depend on. `real`: it is a pod, not a template for pods."""

    spec: Object
    volumes: Mapping[str, Object]
    real: bool = True
    claims: frozenset[str] = field(default=frozenset())

    @property
    def grace(self) -> int | None:
        found: int | None = self.spec.get("terminationGracePeriodSeconds")
        return found

    @property
    def host_users(self) -> bool:
        return self.spec.get("hostUsers") is not False


def containers(pod: Pod, field: str) -> list[FieldError]:
    """Those at `field`, then the init containers and the ephemeral ones."""
    spec, where = pod.spec, f"{field}.containers"
    found: Sequence[Object] = spec.get("containers") or ()
    errors: list[FieldError] = [] if found else [required(where)]
    names: set[str] = set()
    for each, at in items(found, where):
        errors += common(each, pod, at) + _unique(each, names, at) + hooks(each, pod.grace, at)
        errors += _restarts(each, at)
    errors += host_ports(found, where)
    for each, at in items(spec.get("initContainers"), f"{field}.initContainers"):
        errors += common(each, pod, at) + _restarts(each, at) + _unique(each, names, at)
        errors += host_ports([each], f"{field}.initContainers")
        if each.get("restartPolicy") == "Always":
            errors += hooks(each, pod.grace, at)
        else:
            words = "may not be set for init containers without restartPolicy=Always"
            refused = ("lifecycle", *PROBES)
            errors += [forbidden(f"{at}.{key}", words) for key in refused if each.get(key) is not None]
    return errors + _ephemeral(pod, names, f"{field}.ephemeralContainers")


def _unique(container: Object, names: set[str], where: str) -> list[FieldError]:
    called = container.get("name", "")
    if called in names:
        return [duplicate(f"{where}.name", called)]
    if called:
        names.add(called)
    return []


def _ephemeral(pod: Pod, others: Iterable[str], field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    targets, names = frozenset(others), set(others)
    words = "cannot be set for an Ephemeral Container"
    for each, where in items(pod.spec.get("ephemeralContainers"), field):
        errors += common(each, pod, where) + image(each, where) + _unique(each, names, where)
        if (target := each.get("targetContainerName")) and target not in targets:
            errors.append(not_found(f"{where}.targetContainerName", target))
        errors += [forbidden(f"{where}.{key}", words) for key in _NOT_EPHEMERAL if each.get(key)]
        for mount, at in items(each.get("volumeMounts"), f"{where}.volumeMounts"):
            errors += [forbidden(f"{at}.{key}", words) for key in ("subPath", "subPathExpr") if mount.get(key)]
    return errors


def common(container: Object, pod: Pod, where: str) -> list[FieldError]:
    """What holds for containers of every kind."""
    errors = name(container.get("name"), f"{where}.name", formats.label_name)
    if not container.get("image"):
        errors.append(required(f"{where}.image"))
    errors += choice(container.get("terminationMessagePolicy"), f"{where}.terminationMessagePolicy", _MESSAGES)
    errors += ports(container.get("ports") or (), f"{where}.ports")
    errors += environment(container.get("env"), f"{where}.env")
    errors += sources(container.get("envFrom"), f"{where}.envFrom")
    errors += mounts(container, pod.volumes, f"{where}.volumeMounts")
    errors += devices(container, pod.volumes, f"{where}.volumeDevices")
    errors += choice(container.get("imagePullPolicy"), f"{where}.imagePullPolicy", PULL_POLICIES)
    errors += resources.requirements(container.get("resources") or {}, f"{where}.resources")
    errors += _claims((container.get("resources") or {}).get("claims"), pod, f"{where}.resources.claims")
    errors += _resize(container.get("resizePolicy"), pod.spec.get("restartPolicy"), f"{where}.resizePolicy")
    context = container.get("securityContext")
    return errors + security.of_container(context, f"{where}.securityContext", host_users=pod.host_users)


def image(container: Object, where: str) -> list[FieldError]:
    """What holds for the images of pods, and not of templates."""
    found = container.get("image", "")
    if found.strip() == found:
        return []
    return [bad(f"{where}.image", found, "must not have leading or trailing whitespace")]


def ports(found: Sequence[Object], field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    names: set[str] = set()
    for each, where in items(found, field):
        if called := each.get("name"):
            if wrong := formatted(called, f"{where}.name", formats.port_name):
                errors += wrong
            elif called in names:
                errors.append(duplicate(f"{where}.name", called))
            names.add(called)
        number, host = each.get("containerPort", 0), each.get("hostPort", 0)
        if number == 0:
            errors.append(required(f"{where}.containerPort"))
        else:
            errors += port(number, f"{where}.containerPort")
        if host:
            errors += port(host, f"{where}.hostPort")
        errors += choice(each.get("protocol"), f"{where}.protocol", PROTOCOLS)
    return errors


def host_ports(found: Sequence[Object], field: str) -> list[FieldError]:
    """No two containers may ask for one port of the host."""
    errors = []
    taken: set[str] = set()
    for container, where in items(found, field):
        for each, at in items(container.get("ports"), f"{where}.ports"):
            if not each.get("hostPort"):
                continue
            key = f"{each.get('protocol')}/{each.get('hostIP', '')}/{each['hostPort']}"
            if key in taken:
                errors.append(duplicate(f"{at}.hostPort", key))
            taken.add(key)
    return errors


def host_network(pod: Pod, field: str) -> list[FieldError]:
    """In the host's network a port is the host's. Templates may leave it to the pods that are made of them."""
    if not pod.spec.get("hostNetwork"):
        return []
    words = "must match `containerPort` when `hostNetwork` is true"
    return [
        bad(f"{at}.hostPort", each.get("hostPort", 0), words)
        for container, where in items(pod.spec.get("containers"), f"{field}.containers")
        for each, at in items(container.get("ports"), f"{where}.ports")
        if (pod.real or each.get("hostPort")) and each.get("hostPort", 0) != each.get("containerPort", 0)
    ]


def _claims(found: Any, pod: Pod, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for each, where in items(found, field):
        called, request = each.get("name", ""), each.get("request", "")
        key = f"{called}/{request}" if request else called
        if not called:
            errors.append(required(where))
            continue
        if called in seen or key in seen or (not request and any(known.startswith(f"{called}/") for known in seen)):
            errors.append(duplicate(where, called if called in seen or not request else key))
        seen.add(key)
        if called not in pod.claims:
            known = f": {', '.join(sorted(pod.claims))}" if pod.claims else " which is empty"
            words = f"must be one of the names in pod.spec.resourceClaims{known}"
            errors.append(FieldError("NotFound", where, called, words))
    return errors


def _resize(found: Any, restart: str | None, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for each, where in items(found, field):
        resource, policy = each.get("resourceName", ""), each.get("restartPolicy", "")
        if resource in seen:
            errors.append(duplicate(where, resource))
        seen.add(resource)
        errors += choice(resource, field, ("cpu", "memory"))
        errors += choice(policy, field, ("NotRequired", "RestartContainer"))
        if restart == "Never" and policy != "NotRequired":
            errors.append(bad(field, policy, "must be 'NotRequired' when `restartPolicy` is 'Never'"))
    return errors


def _restarts(container: Object, where: str) -> list[FieldError]:
    """A container's own restart policy, and the rules by exit codes that may go with it."""
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or ()
    if policy is None:
        words = "must specify restartPolicy when restart rules are used"
        return [required(f"{where}.restartPolicy", words)] if rules else []
    errors: list[FieldError] = []
    if policy not in _RESTARTS:
        errors.append(not_supported(f"{where}.restartPolicy", policy, _RESTARTS))
    if len(rules) > _RESTART_RULES:
        errors.append(_too_many(f"{where}.restartPolicyRules", rules, _RESTART_RULES))
    for rule, at in items(rules, f"{where}.restartPolicyRules"):
        errors += optional_choice(rule.get("action", ""), f"{at}.action", ("Restart", "RestartAllContainers"))
        codes = rule.get("exitCodes")
        if codes is None:
            errors.append(required(f"{at}.exitCodes", "must be specified"))
            continue
        errors += optional_choice(codes.get("operator", ""), f"{at}.exitCodes.operator", ("In", "NotIn"))
        if len(codes.get("values") or ()) > _EXIT_CODES:
            errors.append(_too_many(f"{at}.exitCodes.values", codes["values"], _EXIT_CODES))
    return errors


def _too_many(field: str, found: Sequence[Any], limit: int) -> FieldError:
    return FieldError("TooMany", field, len(found), f"must have at most {limit} items")
