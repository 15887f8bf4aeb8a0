"""Checks of a pod's specification, and of pod templates. What may change of a pod is in podupdate.py."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import orjson

from panal import formats
from panal.quantity import parse

from ..fielderrors import FieldError, bad, duplicate, forbidden, required
from ..quantities import canonical, written
from . import meta, resources, security, volumes
from .checks import Object, choice, formatted, items, optional_choice, optional_name
from .containers import Pod, containers, host_network, image
from .scheduling import affinity, tolerations, topology_spread

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_MAX_SECONDS = 2**31 - 1
_SEARCHES, _SEARCH_CHARACTERS, _SERVERS = 32, 2048, 3
_MIRROR = "kubernetes.io/config.mirror"
_COST = "controller.kubernetes.io/pod-deletion-cost"


def pod(obj: Object) -> list[FieldError]:
    """A pod itself, new or changed."""
    spec: Object = obj.get("spec") or {}
    errors = pod_annotations(obj["metadata"].get("annotations") or {}, spec, "metadata.annotations")
    errors += pod_spec(spec, "spec", real=True)
    if not spec.get("serviceAccountName"):
        words = "must not be specified when serviceAccountName is not set"
        for volume, where in items(spec.get("volumes"), "spec.volumes"):
            for source, at in items((volume.get("projected") or {}).get("sources"), f"{where}.projected.sources"):
                if source.get("serviceAccountToken") is not None:
                    errors.append(forbidden(f"{at}.serviceAccountToken", words))
    for kind in ("containers", "initContainers"):
        errors += [error for each, at in items(spec.get(kind), f"spec.{kind}") for error in image(each, at)]
    return errors


def new_pod(obj: Object) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    errors = pod(obj)
    if spec.get("ephemeralContainers"):
        errors.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        words = "cannot be set until all schedulingGates have been cleared"
        errors.append(forbidden("spec.nodeName", words))
    return errors


def pod_annotations(found: Mapping[str, str], spec: Object, field: str) -> list[FieldError]:
    """Annotations that mean something to the cluster."""
    errors: list[FieldError] = []
    if _MIRROR in found and not spec.get("nodeName"):
        words = "must set spec.nodeName if mirror pod annotation is set"
        errors.append(bad(f"{field}[{_MIRROR}]", found[_MIRROR], words))
    cost = found.get(_COST, "0")
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)", cost, re.ASCII) or not -(2**31) <= int(cost) < 2**31:
        errors.append(bad(f"{field}[{_COST}]", cost, "must be a 32bit integer"))
    return errors


def pod_template(template: Object, field: str) -> list[FieldError]:
    """A PodTemplateSpec."""
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    errors = meta.validate_template(metadata, f"{field}.metadata")
    errors += pod_annotations(metadata.get("annotations") or {}, spec, f"{field}.annotations")
    errors += pod_spec(spec, f"{field}.spec", real=False)
    if spec.get("ephemeralContainers"):
        words = "ephemeral containers not allowed in pod template"
        errors.append(forbidden(f"{field}.spec.ephemeralContainers", words))
    return errors


_TOKEN_VOLUME = re.compile(rb"kube-api-access-[a-z0-9]{5}(?![-a-z0-9])")
"""The name that admission gives the volume of a pod's token."""
_VALID_KEPT = 1024
_valid: set[bytes] = set()
"""Digests of specifications that nothing was wrong with: pods of one template have the same."""


def pod_spec(spec: Object, field: str, *, real: bool) -> list[FieldError]:
    """Everything wrong with a PodSpec; `real`: it is a pod's, not a template's."""
    text = orjson.dumps(spec)
    names = set(_TOKEN_VOLUME.findall(text))
    if len(names) == 1:  # each pod's has another one
        text = text.replace(names.pop(), b"kube-api-access-")
    digest = hashlib.blake2b(text, digest_size=16, salt=b"pod" if real else b"").digest()
    if digest in _valid:
        return []
    errors = _pod_spec(spec, field, real=real)
    if not errors:
        if len(_valid) >= _VALID_KEPT:
            _valid.clear()
        _valid.add(digest)
    return errors


def _pod_spec(spec: Object, field: str, *, real: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    if spec.get("terminationGracePeriodSeconds") is None:
        errors.append(required(f"{field}.terminationGracePeriodSeconds"))
    found, wrong = volumes.volumes(spec.get("volumes") or (), f"{field}.volumes")
    names = frozenset(claim.get("name", "") for claim in spec.get("resourceClaims") or ())
    this = Pod(spec, found, real, names)
    errors += wrong + _claims(spec, field) + containers(this, field) + _resources(spec, field)
    errors += host_network(this, field)
    errors += choice(spec.get("restartPolicy"), f"{field}.restartPolicy", RESTART_POLICIES)
    errors += choice(spec.get("dnsPolicy"), f"{field}.dnsPolicy", DNS_POLICIES)
    errors += meta.labels(spec.get("nodeSelector"), f"{field}.nodeSelector")
    errors += security.of_pod(spec, field)
    if spec.get("affinity") is not None:
        errors += affinity(spec["affinity"], f"{field}.affinity")
    errors += _dns_config(spec, field)
    for gate, at in items(spec.get("readinessGates"), f"{field}.readinessGates"):
        errors += formatted(gate.get("conditionType", ""), f"{at}.conditionType", formats.qualified_name)
    errors += _gates(spec, f"{field}.schedulingGates")
    errors += topology_spread(spec.get("topologySpreadConstraints") or (), f"{field}.topologySpreadConstraints")
    errors += security.host_users(spec, field)
    return errors + _names(spec, field) + security.operating_system(spec, field)


def _claims(spec: Object, field: str) -> list[FieldError]:
    """The resource claims of a pod."""
    errors: list[FieldError] = []
    names: set[str] = set()
    for claim, at in items(spec.get("resourceClaims"), f"{field}.resourceClaims"):
        name, own, template = (claim.get(key) for key in ("name", "resourceClaimName", "resourceClaimTemplateName"))
        if not name:
            errors.append(required(f"{at}.name"))
        elif name in names:
            errors.append(duplicate(f"{at}.name", name))
        else:
            errors += formatted(name, f"{at}.name", formats.label_name)
        names.add(name or "")
        if own is not None and template is not None:
            words = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            errors.append(bad(at, dict(claim), words))
        if own is None and template is None:
            words = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            errors.append(bad(at, dict(claim), words))
        for key, value in (("resourceClaimName", own), ("resourceClaimTemplateName", template)):
            if value is not None:
                errors += formatted(value, f"{at}.{key}", formats.subdomain_name)
    return errors


def _resources(spec: Object, field: str) -> list[FieldError]:
    """What the pod as a whole asks for covers what its containers do."""
    found, where = spec.get("resources"), f"{field}.resources"
    if found is None:
        return []
    errors: list[FieldError] = []
    if found.get("claims"):
        errors.append(forbidden(f"{where}.claims", "claims cannot be set for Resources at pod-level"))
    errors += resources.requirements(found, where, resources.pod_name)
    requests, limits = found.get("requests") or {}, found.get("limits") or {}
    for name, total in sorted(resources.together(spec).items()):
        mine = requests.get(name, "0")
        if total > parse(mine):
            words = f"must be greater than or equal to aggregate container requests of {written(total, binary=True)}"
            errors.append(bad(f"{where}.requests[{name}]", mine, words))
    for each, at in items(spec.get("containers"), f"{where}.containers"):
        for name, value in sorted(((each.get("resources") or {}).get("limits") or {}).items()):
            if name in limits and parse(value) > parse(limits[name]):
                words = f"must be less than or equal to pod limits of {canonical(limits[name])}"
                errors.append(bad(f"{at}[{name}].limits", value, words))
    return errors


def _gates(spec: Object, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    names: set[str] = set()
    for gate, at in items(spec.get("schedulingGates"), field):
        name = gate.get("name", "")
        errors += formatted(name, at, formats.qualified_name)
        if name in names:
            errors.append(duplicate(at, name))
        names.add(name)
    return errors


def _names(spec: Object, field: str) -> list[FieldError]:
    """The names that a pod refers to or goes by, and its time limits."""
    errors: list[FieldError] = []
    for key in ("serviceAccountName", "nodeName"):
        errors += optional_name(spec.get(key), f"{field}.{key}", formats.subdomain_name)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _MAX_SECONDS:
        errors.append(bad(f"{field}.activeDeadlineSeconds", deadline, formats.range_error(1, _MAX_SECONDS)))
    for key in ("hostname", "subdomain"):
        errors += optional_name(spec.get(key), f"{field}.{key}", formats.label_name)
    errors += tolerations(spec.get("tolerations") or (), f"{field}.tolerations")
    for alias, at in items(spec.get("hostAliases"), f"{field}.hostAliases"):
        errors += formatted(alias.get("ip", ""), f"{at}.ip", formats.ip_address)
        for name, where in items(alias.get("hostnames"), f"{at}.hostnames"):
            errors += formatted(name, where, formats.subdomain_name)
    errors += optional_name(spec.get("priorityClassName"), f"{field}.priorityClassName", formats.subdomain_name)
    if (runtime := spec.get("runtimeClassName")) is not None:
        errors += formatted(runtime, f"{field}.runtimeClassName", formats.subdomain_name)
    errors += optional_choice(
        spec.get("preemptionPolicy"), f"{field}.preemptionPolicy", ("PreemptLowerPriority", "Never")
    )
    return errors + resources.requirements({"limits": spec.get("overhead")}, f"{field}.overhead")


def _dns_config(spec: Object, field: str) -> list[FieldError]:
    config, where = spec.get("dnsConfig"), f"{field}.dnsConfig"
    servers = (config or {}).get("nameservers") or []
    if spec.get("dnsPolicy") == "None" and not servers:
        if config is None:
            return [required(where, "must provide `dnsConfig` when `dnsPolicy` is None")]
        words = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        return [required(f"{where}.nameservers", words)]
    errors: list[FieldError] = []
    if len(servers) > _SERVERS:
        errors.append(bad(f"{where}.nameservers", servers, f"must not have more than {_SERVERS} nameservers"))
    for server, at in items(servers, f"{where}.nameservers"):
        errors += formatted(server, at, formats.ip_address)
    searches = (config or {}).get("searches") or []
    if len(searches) > _SEARCHES:
        errors.append(bad(f"{where}.searches", searches, f"must not have more than {_SEARCHES} search paths"))
    if len(" ".join(searches)) > _SEARCH_CHARACTERS:
        words = f"must not have more than {_SEARCH_CHARACTERS} characters (including spaces) in the search list"
        errors.append(bad(f"{where}.searches", searches, words))
    for search, at in items(searches, f"{where}.searches"):
        if search != ".":
            errors += formatted(search.removesuffix("."), at, formats.search_name)
    for option, at in items((config or {}).get("options"), f"{where}.options"):
        if not option.get("name"):
            errors.append(required(at, "must not be empty"))
    return errors
