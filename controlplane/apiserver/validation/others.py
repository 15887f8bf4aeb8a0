"""Checks of the other kinds: ConfigMap, Secret, Node, storage, networking, RBAC, priority, webhooks, extensions."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, duplicate, forbidden, not_supported, required, too_long
from . import volumes
from .labelselectors import label_selector
from .meta import IMMUTABLE, path_segment_name
from .scheduling import taints

Object = Mapping[str, Any]

MAX_DATA = 1024 * 1024
"""Kubernetes' bound on all values of a ConfigMap or Secret."""
_FROZEN = "field is immutable when `immutable` is set"


def config_map(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    size = 0
    for key, value in data.items():
        errors += [bad(f"data[{key}]", key, text) for text in formats.config_key(key)]
        if key in binary:
            errors.append(bad(f"data[{key}]", key, "duplicate of key present in binaryData"))
        size += len(value.encode())
    for key, value in binary.items():
        errors += [bad(f"binaryData[{key}]", key, text) for text in formats.config_key(key)]
        size += len(value) * 3 // 4
    if size > MAX_DATA:
        errors.append(too_long("", MAX_DATA))
    return errors


def frozen(new: Object, old: Object, *keys: str) -> list[FieldError]:
    """An immutable ConfigMap or Secret keeps its data, and stays immutable."""
    if not old.get("immutable"):
        return []
    errors = [] if new.get("immutable") else [forbidden("immutable", _FROZEN)]
    return errors + [forbidden(key, _FROZEN) for key in keys if new.get(key) != old.get(key)]


_SECRET_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",), "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",), "kubernetes.io/tls": ("tls.crt", "tls.key"),
}  # fmt: skip


def secret(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    data, kind = obj.get("data") or {}, obj.get("type", "")
    size = 0
    for key, value in data.items():
        errors += [bad(f"data[{key}]", key, text) for text in formats.config_key(key)]
        size += len(value) * 3 // 4
    if size > MAX_DATA:
        errors.append(too_long("data", MAX_DATA))
    errors += [required(f"data[{key}]") for key in _SECRET_KEYS.get(kind, ()) if key not in data]
    if kind == "kubernetes.io/basic-auth" and not ("username" in data or "password" in data):
        errors += [required(f"data[{key}]") for key in ("username", "password")]
    name = "kubernetes.io/service-account.name"
    if kind == "kubernetes.io/service-account-token" and not (obj["metadata"].get("annotations") or {}).get(name):
        errors.append(required(f"metadata.annotations[{name}]"))
    return errors


def secret_update(new: Object, old: Object) -> list[FieldError]:
    errors = [] if new.get("type") == old.get("type") else [bad("type", new.get("type", ""), IMMUTABLE)]
    return errors + frozen(new, old, "data")


def node(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors = taints(spec.get("taints") or (), "spec.taints")
    cidrs = spec.get("podCIDRs") or ()
    for index, found in enumerate(cidrs):
        errors += [bad(f"spec.podCIDRs[{index}]", found, text) for text in formats.cidr(found)]
    if cidrs and spec.get("podCIDR", cidrs[0]) != cidrs[0]:
        errors.append(bad("spec.podCIDRs[0]", cidrs[0], "must match `podCIDR`"))
    return errors


def node_update(new: Object, old: Object) -> list[FieldError]:
    now, was = new.get("spec") or {}, old.get("spec") or {}
    errors: list[FieldError] = []
    if was.get("podCIDRs") and now.get("podCIDRs") != was.get("podCIDRs"):
        errors.append(forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid'))
    if was.get("providerID") and now.get("providerID") != was.get("providerID"):
        errors.append(forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid'))
    return errors


ACCESS_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")


def _access_modes(spec: Object, empty: str) -> list[FieldError]:
    modes = spec.get("accessModes") or ()
    if not modes:
        return [required("spec.accessModes", empty)]
    return [not_supported("spec.accessModes", mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]


def persistent_volume(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors = _access_modes(spec, "")
    capacity = spec.get("capacity") or {}
    if not capacity:
        errors.append(required("spec.capacity"))
    elif "storage" not in capacity or len(capacity) > 1:
        errors.append(not_supported("spec.capacity", dict(capacity), ("storage",)))
    sources = [key for key in (*volumes.SOURCES, "local") if spec.get(key) is not None]
    if not sources:
        errors.append(required("spec", "must specify a volume type"))
    errors += [forbidden(f"spec.{key}", "may not specify more than 1 volume type") for key in sources[1:]]
    if "hostPath" in sources:
        errors += volumes.host_path(spec["hostPath"], "spec.hostPath")
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy not in ("Retain", "Delete", "Recycle"):
        errors.append(not_supported("spec.persistentVolumeReclaimPolicy", policy, ("Delete", "Recycle", "Retain")))
    return errors


def persistent_volume_claim(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors = _access_modes(spec, "at least 1 access mode is required")
    errors += label_selector(spec.get("selector"), "spec.selector")
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if storage is None:
        errors.append(required("spec.resources[storage]"))
    else:
        from panal.quantity import parse

        if parse(storage) <= 0:
            errors.append(bad("spec.resources[storage]", storage, "must be greater than zero"))
    return errors


def claim_update(new: Object, old: Object) -> list[FieldError]:
    """A claim's specification stays, but for more storage and the volume that a binder writes once."""
    now, was = dict(new.get("spec") or {}), dict(old.get("spec") or {})
    if not was.get("volumeName"):
        now.pop("volumeName", None)
        was.pop("volumeName", None)
    for spec in (now, was):
        resources = dict(spec.get("resources") or {})
        resources["requests"] = {
            key: value for key, value in (resources.get("requests") or {}).items() if key != "storage"
        }
        spec["resources"] = resources
        spec.pop("volumeAttributesClassName", None)
    if now == was:
        return []
    words = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
    return [forbidden("spec", words)]


PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


def ingress(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    rules, backend = spec.get("rules") or (), spec.get("defaultBackend")
    if not rules and backend is None:
        return [bad("spec", None, "either `defaultBackend` or `rules` must be specified")]
    errors: list[FieldError] = []
    if backend is not None:
        errors += _backend(backend, "spec.defaultBackend")
    for index, rule in enumerate(rules):
        where = f"spec.rules[{index}]"
        if host := rule.get("host"):
            errors += _host(host, f"{where}.host")
        if (http := rule.get("http")) is not None:
            paths = http.get("paths") or ()
            if not paths:
                errors.append(required(f"{where}.http.paths"))
            for position, path in enumerate(paths):
                errors += _http_path(path, f"{where}.http.paths[{position}]")
    for index, tls in enumerate(spec.get("tls") or ()):
        for position, host in enumerate(tls.get("hosts") or ()):
            at = f"spec.tls[{index}].hosts[{position}]"
            check = formats.wildcard_subdomain if "*" in host else formats.subdomain_name
            errors += [bad(at, host, text) for text in check(host)]
        if secret_name := tls.get("secretName"):
            errors += [
                bad(f"spec.tls[{index}].secretName", secret_name, t) for t in formats.subdomain_name(secret_name)
            ]
    if name := spec.get("ingressClassName"):
        errors += [bad("spec.ingressClassName", name, text) for text in formats.subdomain_name(name)]
    return errors


def _host(host: str, field: str) -> list[FieldError]:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        check = formats.wildcard_subdomain if "*" in host else formats.subdomain_name
        return [bad(field, host, text) for text in check(host)]
    return [bad(field, host, "must be a DNS name, not an IP address")]


def _http_path(path: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    kind, text = path.get("pathType"), path.get("path", "")
    if kind is None:
        errors.append(required(f"{where}.pathType", "pathType must be specified"))
    elif kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            errors.append(bad(f"{where}.path", text, "must be an absolute path"))
        parts = ("//", "/./", "/../", "%2f", "%2F")
        errors += [bad(f"{where}.path", text, f"must not contain '{part}'") for part in parts if part in text]
        ends = ("/..", "/.")
        errors += [bad(f"{where}.path", text, f"cannot end with '{end}'") for end in ends if text.endswith(end)]
    elif kind == "ImplementationSpecific":
        if text and not text.startswith("/"):
            errors.append(bad(f"{where}.path", text, "must be an absolute path"))
    else:
        errors.append(not_supported(f"{where}.pathType", kind, PATH_TYPES))
    return errors + _backend(path.get("backend") or {}, f"{where}.backend")


def _backend(backend: Object, where: str) -> list[FieldError]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [bad(where, "", "cannot set both resource and service backends")]
    if resource is not None:
        return [required(f"{where}.resource.{key}") for key in ("kind", "name") if not resource.get(key)]
    if service is None:
        return [required(where, "resource or service backend is required")]
    errors: list[FieldError] = []
    name, port = service.get("name", ""), service.get("port") or {}
    if not name:
        errors.append(required(f"{where}.service.name"))
    else:
        errors += [bad(f"{where}.service.name", name, text) for text in formats.label_name(name)]
    port_name, number = port.get("name", ""), port.get("number", 0)
    if port_name and number:
        errors.append(bad(where, "", "cannot set both port name & port number"))
    elif port_name:
        errors += [bad(f"{where}.service.port.name", port_name, text) for text in formats.port_name(port_name)]
    elif number:
        errors += [bad(f"{where}.service.port.number", number, text) for text in formats.port_number(number)]
    else:
        errors.append(required(where, "port name or number is required"))
    return errors


def ingress_class(obj: Object) -> list[FieldError]:
    controller = (obj.get("spec") or {}).get("controller", "")
    if not controller:
        return [required("spec.controller")]
    if len(controller) > 250:
        return [too_long("spec.controller", 250)]
    prefix, slash, _ = controller.partition("/")
    if not slash or formats.subdomain_name(prefix):
        words = 'must be a domain-prefixed path (such as "acme.io/foo")'
        return [bad("spec.controller", controller, words)]
    return []


RBAC = "rbac.authorization.k8s.io"


def role(obj: Object, *, namespaced: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, rule in enumerate(obj.get("rules") or ()):
        where = f"rules[{index}]"
        if not rule.get("verbs"):
            errors.append(required(f"{where}.verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            if namespaced:
                words = "namespaced rules cannot apply to non-resource URLs"
                errors.append(bad(f"{where}.nonResourceURLs", rule["nonResourceURLs"], words))
            elif rule.get("apiGroups") or rule.get("resources"):
                words = "rules cannot apply to both regular resources and non-resource URLs"
                errors.append(bad(f"{where}.nonResourceURLs", rule["nonResourceURLs"], words))
            continue
        if not rule.get("apiGroups"):
            errors.append(required(f"{where}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            errors.append(required(f"{where}.resources", "resource rules must supply at least one resource"))
    return errors


def role_binding(obj: Object, *, namespaced: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    reference = obj.get("roleRef") or {}
    if reference.get("apiGroup") != RBAC:
        errors.append(not_supported("roleRef.apiGroup", reference.get("apiGroup", ""), (RBAC,)))
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    if reference.get("kind") not in kinds:
        errors.append(not_supported("roleRef.kind", reference.get("kind", ""), kinds))
    name = reference.get("name", "")
    if not name:
        errors.append(required("roleRef.name"))
    else:
        errors += [bad("roleRef.name", name, text) for text in path_segment_name(name)]
    for index, subject in enumerate(obj.get("subjects") or ()):
        errors += _subject(subject, f"subjects[{index}]", namespaced)
    return errors


def _subject(subject: Object, where: str, namespaced: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    name, kind, group = (subject.get(key, "") for key in ("name", "kind", "apiGroup"))
    if not name:
        errors.append(required(f"{where}.name"))
    if kind == "ServiceAccount":
        if name:
            errors += [bad(f"{where}.name", name, text) for text in formats.subdomain_name(name)]
        if group:
            errors.append(not_supported(f"{where}.apiGroup", group, ("",)))
        if not namespaced and not subject.get("namespace"):
            errors.append(required(f"{where}.namespace"))
    elif kind in ("User", "Group"):
        if group != RBAC:
            errors.append(not_supported(f"{where}.apiGroup", group, (RBAC,)))
    else:
        errors.append(not_supported(f"{where}.kind", kind, ("ServiceAccount", "User", "Group")))
    return errors


def role_reference_update(new: Object, old: Object) -> list[FieldError]:
    if new.get("roleRef") == old.get("roleRef"):
        return []
    return [bad("roleRef", new.get("roleRef"), "cannot change roleRef")]


def priority_class(obj: Object) -> list[FieldError]:
    name, value = obj["metadata"].get("name", ""), obj.get("value", 0)
    errors: list[FieldError] = []
    if name.startswith("system-") and name not in ("system-cluster-critical", "system-node-critical"):
        words = (
            "priority class names with 'system-' prefix are reserved for system use only. error: "
            f"{name} is not a known system priority class"
        )
        errors.append(forbidden("metadata.name", words))
    elif value > 1_000_000_000 and not name.startswith("system-"):
        errors.append(forbidden("value", "maximum allowed value of a user defined priority is 1000000000"))
    policy = obj.get("preemptionPolicy")
    if policy not in (None, "PreemptLowerPriority", "Never"):
        errors.append(not_supported("preemptionPolicy", policy, ("Never", "PreemptLowerPriority")))
    return errors


def storage_class(obj: Object) -> list[FieldError]:
    provisioner = obj.get("provisioner", "")
    if not provisioner:
        return [required("provisioner")]
    errors = [bad("provisioner", provisioner, text) for text in formats.qualified_name(provisioner.lower())]
    policy, mode = obj.get("reclaimPolicy"), obj.get("volumeBindingMode")
    if policy and policy not in ("Delete", "Retain"):
        errors.append(not_supported("reclaimPolicy", policy, ("Delete", "Retain")))
    if mode and mode not in ("Immediate", "WaitForFirstConsumer"):
        errors.append(not_supported("volumeBindingMode", mode, ("Immediate", "WaitForFirstConsumer")))
    return errors


def lease(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors: list[FieldError] = []
    seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if seconds is not None and seconds <= 0:
        errors.append(bad("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        errors.append(bad("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    return errors


def custom_resource_definition(obj: Object) -> list[FieldError]:
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name", "")
    names = spec.get("names") or {}
    errors: list[FieldError] = []
    if name != f"{names.get('plural', '')}.{spec.get('group', '')}":
        errors.append(bad("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    group = spec.get("group", "")
    if not group:
        errors.append(required("spec.group"))
    elif len(group.split(".")) < 2:
        errors.append(bad("spec.group", group, "should be a domain with at least one dot"))
    else:
        errors += [bad("spec.group", group, text) for text in formats.subdomain_name(group)]
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        errors.append(not_supported("spec.scope", spec.get("scope", ""), ("Cluster", "Namespaced")))
    versions = spec.get("versions") or ()
    seen: set[str] = set()
    for index, version in enumerate(versions):
        where = f"spec.versions[{index}]"
        found = version.get("name", "")
        errors += [bad(f"{where}.name", found, text) for text in formats.label_name_1035(found)]
        if found in seen:
            errors.append(duplicate(f"{where}.name", found))
        seen.add(found)
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            errors.append(required(f"{where}.schema.openAPIV3Schema"))
    if sum(1 for version in versions if version.get("storage")) != 1:
        words = "must have exactly one version marked as storage version"
        errors.append(bad("spec.versions", list(versions), words))
    for key in ("plural", "kind"):
        if not names.get(key):
            errors.append(required(f"spec.names.{key}"))
    return errors


_PEM = "-----BEGIN CERTIFICATE REQUEST-----"


def signing_request(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    text = spec.get("request") or ""
    try:
        decoded = base64.b64decode(text).decode("ascii", "replace")
    except ValueError:
        decoded = ""
    errors: list[FieldError] = []
    if _PEM not in decoded:
        errors.append(bad("spec.request", text, "PEM block type must be CERTIFICATE REQUEST"))
    if not spec.get("usages"):
        errors.append(required("spec.usages"))
    signer = spec.get("signerName", "")
    if not signer:
        errors.append(required("spec.signerName"))
    elif "/" not in signer:
        errors.append(
            bad(
                "spec.signerName",
                signer,
                "must be a fully qualified domain and path of the form 'example.com/signer-name'",
            )
        )
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < 600:
        errors.append(
            bad("spec.expirationSeconds", seconds, "may not specify a duration less than 600 seconds (10 minutes)")
        )
    return errors


_DECIDED = ("Approved", "Denied", "Failed")


def signing_conditions(new: Object, old: Object) -> list[FieldError]:
    """The conditions of a CertificateSigningRequest: what was decided stays decided, and one way only."""
    field = "status.conditions"
    found = (new.get("status") or {}).get("conditions") or ()
    errors: list[FieldError] = []
    kinds: set[str] = set()
    for index, each in enumerate(found):
        kind, status = each.get("type", ""), each.get("status", "")
        if not kind:
            errors.append(required(f"{field}[{index}].type"))
        elif kind in kinds:
            errors.append(duplicate(f"{field}[{index}].type", kind))
        if {"Approved": "Denied", "Denied": "Approved"}.get(kind) in kinds:
            words = "Approved and Denied conditions are mutually exclusive"
            errors.append(bad(f"{field}[{index}].type", kind, words))
        if not status:
            errors.append(required(f"{field}[{index}].status"))
        elif kind in _DECIDED and status != "True":
            errors.append(not_supported(f"{field}[{index}].status", status, ("True",)))
        kinds.add(kind)
    before = {each.get("type", "") for each in (old.get("status") or {}).get("conditions") or ()}
    words = "updates may not remove a condition of type {}"
    return errors + [
        forbidden(field, words.format(f'"{kind}"')) for kind in _DECIDED if kind in before and kind not in kinds
    ]


def token_request(obj: Object) -> list[FieldError]:
    """A TokenRequest's wishes."""
    seconds = (obj.get("spec") or {}).get("expirationSeconds", 3600)
    field = "spec.expirationSeconds"
    if seconds < 600:
        return [bad(field, seconds, "may not specify a duration less than 10 minutes")]
    if seconds > 2**32:
        return [bad(field, seconds, "may not specify a duration larger than 2^32 seconds")]
    return []


def event(obj: Object) -> list[FieldError]:
    involved = obj.get("involvedObject") or obj.get("regarding") or {}
    namespace, own = involved.get("namespace", ""), obj["metadata"].get("namespace", "")
    if namespace and namespace != own:
        return [bad("involvedObject.namespace", namespace, "does not match event.namespace")]
    return []
