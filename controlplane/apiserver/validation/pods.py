"""Checks of a pod's specification, new and changed, and of pod templates."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from panal import formats

from ..fielderrors import FieldError, bad, forbidden, not_supported, required
from . import meta, volumes
from .containers import containers
from .scheduling import affinity, tolerations, topology_spread

Object = Mapping[str, Any]

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_MAX_SECONDS = 2**31 - 1
IMMUTABLE_SPEC = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def pod(obj: Object) -> list[FieldError]:
    return pod_spec(obj.get("spec") or {}, "spec")


def pod_template(template: Object, field: str) -> list[FieldError]:
    """A PodTemplateSpec."""
    metadata = template.get("metadata") or {}
    errors = meta.validate_template(metadata, f"{field}.metadata")
    errors += pod_spec(template.get("spec") or {}, f"{field}.spec")
    return errors


_TOKEN_VOLUME = re.compile(rb"kube-api-access-[a-z0-9]{5}(?![-a-z0-9])")
"""The name that admission gives the volume of a pod's token."""
_VALID_KEPT = 1024
_valid: set[bytes] = set()
"""Digests of specifications that nothing was wrong with: pods of one template have the same."""


def pod_spec(spec: Object, field: str) -> list[FieldError]:
    """Everything wrong with a PodSpec."""
    text = orjson.dumps(spec)
    names = set(_TOKEN_VOLUME.findall(text))
    if len(names) == 1:  # each pod's has another one
        text = text.replace(names.pop(), b"kube-api-access-")
    digest = hashlib.blake2b(text, digest_size=16).digest()
    if digest in _valid:
        return []
    errors = _pod_spec(spec, field)
    if not errors:
        if len(_valid) >= _VALID_KEPT:
            _valid.clear()
        _valid.add(digest)
    return errors


def _pod_spec(spec: Object, field: str) -> list[FieldError]:
    found, errors = volumes.volumes(spec.get("volumes") or (), f"{field}.volumes")
    errors += containers(spec, found, field)
    restart = spec.get("restartPolicy", "")
    if not restart:
        errors.append(required(f"{field}.restartPolicy"))
    elif restart not in RESTART_POLICIES:
        errors.append(not_supported(f"{field}.restartPolicy", restart, RESTART_POLICIES))
    dns = spec.get("dnsPolicy", "")
    if not dns:
        errors.append(required(f"{field}.dnsPolicy"))
    elif dns not in DNS_POLICIES:
        errors.append(not_supported(f"{field}.dnsPolicy", dns, DNS_POLICIES))
    errors += meta.labels(spec.get("nodeSelector"), f"{field}.nodeSelector")
    errors += _security(spec.get("securityContext") or {}, f"{field}.securityContext")
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            errors.append(required(f"{field}.imagePullSecrets[{index}].name"))
    if spec.get("affinity") is not None:
        errors += affinity(spec["affinity"], f"{field}.affinity")
    errors += _dns_config(spec, field)
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        where = f"{field}.readinessGates[{index}].conditionType"
        errors += [
            bad(where, gate.get("conditionType", ""), t) for t in formats.qualified_name(gate.get("conditionType", ""))
        ]
    errors += topology_spread(spec.get("topologySpreadConstraints") or (), f"{field}.topologySpreadConstraints")
    return errors + _names(spec, field) + tolerations(spec.get("tolerations") or (), f"{field}.tolerations")


def _names(spec: Object, field: str) -> list[FieldError]:
    """The names that a pod refers to or goes by, and its time limits."""
    errors: list[FieldError] = []
    for key, check in (
        ("serviceAccountName", formats.subdomain_name),
        ("nodeName", formats.subdomain_name),
    ):
        if value := spec.get(key):
            errors += [bad(f"{field}.{key}", value, complaint) for complaint in check(value)]
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _MAX_SECONDS:
        errors.append(bad(f"{field}.activeDeadlineSeconds", deadline, formats.range_error(1, _MAX_SECONDS)))
    for key in ("hostname", "subdomain"):
        if value := spec.get(key):
            errors += [bad(f"{field}.{key}", value, complaint) for complaint in formats.label_name(value)]
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        where = f"{field}.hostAliases[{index}]"
        errors += [bad(f"{where}.ip", alias.get("ip", ""), t) for t in formats.ip_address(alias.get("ip", ""))]
        for name in alias.get("hostnames") or ():
            errors += [bad(f"{where}.hostnames", name, t) for t in formats.subdomain_name(name)]
    for key in ("priorityClassName", "runtimeClassName"):
        if value := spec.get(key):
            errors += [bad(f"{field}.{key}", value, complaint) for complaint in formats.subdomain_name(value)]
    policy = spec.get("preemptionPolicy")
    if policy is not None and policy not in ("PreemptLowerPriority", "Never"):
        errors.append(not_supported(f"{field}.preemptionPolicy", policy, ("Never", "PreemptLowerPriority")))
    return errors


def _security(context: Object, where: str) -> list[FieldError]:
    errors = []
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        value = context.get(key)
        if value is not None and not 0 <= value <= _MAX_SECONDS:
            errors.append(bad(f"{where}.{key}", value, formats.range_error(0, _MAX_SECONDS)))
    return errors


def _dns_config(spec: Object, field: str) -> list[FieldError]:
    config, where = spec.get("dnsConfig") or {}, f"{field}.dnsConfig"
    errors: list[FieldError] = []
    servers = config.get("nameservers") or ()
    if spec.get("dnsPolicy") == "None" and not servers:
        errors.append(
            required(f"{where}.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
        )
    if len(servers) > 3:
        errors.append(bad(f"{where}.nameservers", list(servers), "must not have more than 3 nameservers"))
    for index, server in enumerate(servers):
        errors += [bad(f"{where}.nameservers[{index}]", server, text) for text in formats.ip_address(server)]
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            errors.append(required(f"{where}.options[{index}]", "must not be empty"))
    return errors


def pod_update(new: Object, old: Object) -> list[FieldError]:
    """What an update of a pod may change: images, a shorter deadline, more tolerations, opened scheduling gates."""
    before, after = dict(old.get("spec") or {}), dict(new.get("spec") or {})
    errors = _deadline(after, before) + _added_tolerations(after, before)
    for key in ("containers", "initContainers"):
        errors += _same_names(after.get(key) or (), before.get(key) or (), f"spec.{key}")
    if errors:
        return errors
    for key in ("activeDeadlineSeconds", "tolerations"):
        after.pop(key, None)
        before.pop(key, None)
    if _opened(after, before):
        for key in ("schedulingGates", "nodeSelector", "affinity"):
            after.pop(key, None)
            before.pop(key, None)
    if before.get("terminationGracePeriodSeconds", 0) < 0 and after.get("terminationGracePeriodSeconds") == 1:
        before["terminationGracePeriodSeconds"] = 1
    for key in ("containers", "initContainers"):
        if key in before:
            before[key] = [
                {**item, "image": changed.get("image")}
                for item, changed in zip(before[key], after.get(key) or (), strict=False)
            ]
    if before != after:
        errors.append(forbidden("spec", f"{IMMUTABLE_SPEC}\n{_difference(before, after)}"))
    for key in ("containers", "initContainers"):
        for index, item in enumerate(after.get(key) or ()):
            if not item.get("image"):
                errors.append(required(f"spec.{key}[{index}].image"))
    return errors


def _opened(after: Object, before: Object) -> bool:
    """Whether scheduling gates were only removed, so that the pod may be made more specific."""
    old = [gate.get("name") for gate in before.get("schedulingGates") or ()]
    return bool(old) and all(gate.get("name") in old for gate in after.get("schedulingGates") or ())


def _same_names(after: Sequence[Object], before: Sequence[Object], field: str) -> list[FieldError]:
    if len(after) != len(before):
        return [forbidden(field, "pod updates may not add or remove containers")]
    return []


def _deadline(after: Object, before: Object) -> list[FieldError]:
    old, new = before.get("activeDeadlineSeconds"), after.get("activeDeadlineSeconds")
    field = "spec.activeDeadlineSeconds"
    if new is not None:
        if not 1 <= new <= _MAX_SECONDS:
            return [bad(field, new, formats.range_error(1, _MAX_SECONDS))]
        if old is not None and old < new:
            return [bad(field, new, "must be less than or equal to previous value")]
    elif old is not None:
        return [bad(field, None, "must not update from a positive integer to nil value")]
    return []


def _added_tolerations(after: Object, before: Object) -> list[FieldError]:
    new = after.get("tolerations") or ()
    for old in before.get("tolerations") or ():
        same = [{key: item for key, item in found.items() if key != "tolerationSeconds"} for found in new]
        if {key: item for key, item in old.items() if key != "tolerationSeconds"} not in same:
            return [
                forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
            ]
    return tolerations(new, "spec.tolerations")


def _difference(before: Object, after: Object) -> str:
    """The changed lines of both, as one reads a diff."""
    old, new = (
        orjson.dumps(item, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() for item in (before, after)
    )
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=1, lineterm="")
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@"))) + "\n"
