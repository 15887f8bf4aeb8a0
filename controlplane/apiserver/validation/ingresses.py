"""Checks of Ingresses and their classes, and of the addresses that a cluster gives out."""

from __future__ import annotations

import ipaddress

from panal import formats

from ..fielderrors import FieldError, bad, forbidden, not_supported, required, too_long
from .checks import Object, domain_path, formatted, items, name, optional_choice, optional_name
from .meta import IMMUTABLE, immutable, path_segment_name

PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


_CLASS = "kubernetes.io/ingress.class"
_CONTROLLER_BYTES = 250


def class_said_twice(obj: Object) -> list[FieldError]:
    """The older and the newer way to name the class say the same."""
    note = (obj["metadata"].get("annotations") or {}).get(_CLASS)
    wanted = (obj.get("spec") or {}).get("ingressClassName")
    errors: list[FieldError] = []
    if note is not None and wanted is not None and note != wanted:
        words = "must match `ingressClassName` when both are specified"
        errors.append(bad(f"annotations.{_CLASS}", note, words))
    return errors


def ingress(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    rules, backend = spec.get("rules") or (), spec.get("defaultBackend")
    errors: list[FieldError] = []
    if not rules and backend is None:
        errors.append(bad("spec", None, "either `defaultBackend` or `rules` must be specified"))
    if backend is not None:
        errors += _backend(backend, "spec.defaultBackend")
    for rule, where in items(rules, "spec.rules"):
        if host := rule.get("host"):
            errors += _host(host, f"{where}.host")
        if (http := rule.get("http")) is not None:
            if not http.get("paths"):
                errors.append(required(f"{where}.http.paths"))
            for path, at in items(http.get("paths"), f"{where}.http.paths"):
                errors += _http_path(path, at)
    for tls, where in items(spec.get("tls"), "spec.tls"):
        for host, at in items(tls.get("hosts"), f"{where}.hosts"):
            errors += _domain(host, at)
        errors += optional_name(tls.get("secretName"), f"{where}.secretName", formats.subdomain_name)
    if (wanted := spec.get("ingressClassName")) is not None:
        errors += formatted(wanted, "spec.ingressClassName", formats.subdomain_name)
    return errors


def _domain(host: str, field: str) -> list[FieldError]:
    return formatted(host, field, formats.wildcard_subdomain if "*" in host else formats.subdomain_name)


def ingress_status(obj: Object, old: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    balancer = (obj.get("status") or {}).get("loadBalancer") or {}
    for each, where in items(balancer.get("ingress"), "status.loadBalancer.ingress"):
        errors += optional_name(each.get("ip"), f"{where}.ip", formats.ip_address)
        if host := each.get("hostname"):
            errors += formatted(host, f"{where}.hostname", formats.subdomain_name)
            errors += _no_address(host, f"{where}.hostname")
    return errors


def _no_address(host: str, field: str) -> list[FieldError]:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return []
    return [bad(field, host, "must be a DNS name, not an IP address")]


def _host(host: str, field: str) -> list[FieldError]:
    return _no_address(host, field) + _domain(host, field)


_UNWANTED = ("//", "/./", "/../", "%2f", "%2F")
_UNWANTED_ENDS = ("/..", "/.")


def _http_path(path: Object, where: str) -> list[FieldError]:
    kind, text = path.get("pathType"), path.get("path", "")
    if kind is None:
        return [required(f"{where}.pathType", "pathType must be specified")]
    errors: list[FieldError] = []
    if kind not in PATH_TYPES:
        errors.append(not_supported(f"{where}.pathType", kind, PATH_TYPES))
    elif not text.startswith("/") and (text or kind != "ImplementationSpecific"):
        errors.append(bad(f"{where}.path", text, "must be an absolute path"))
    if kind in ("Exact", "Prefix"):
        errors += [bad(f"{where}.path", text, f"must not contain '{part}'") for part in _UNWANTED if part in text]
        ends = (end for end in _UNWANTED_ENDS if text.endswith(end))
        errors += [bad(f"{where}.path", text, f"cannot end with '{end}'") for end in ends]
    return errors + _backend(path.get("backend") or {}, f"{where}.backend")


def _reference(found: Object, where: str) -> list[FieldError]:
    """An object of any kind."""
    errors: list[FieldError] = []
    if (group := found.get("apiGroup")) is not None:
        errors += formatted(group, f"{where}.apiGroup", formats.subdomain_name)
    for key in ("kind", "name"):
        errors += name(found.get(key), f"{where}.{key}", path_segment_name)
    return errors


def _backend(backend: Object, where: str) -> list[FieldError]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [bad(where, "", "cannot set both resource and service backends")]
    if resource is not None:
        return _reference(resource, f"{where}.resource")
    if service is None:
        return [bad(where, "", "resource or service backend is required")]
    errors = name(service.get("name"), f"{where}.service.name", formats.label_name)
    port = service.get("port") or {}
    called, number = port.get("name", ""), port.get("number", 0)
    if called and number:
        errors.append(bad(where, "", "cannot set both port name & port number"))
    elif called:
        errors += formatted(called, f"{where}.service.port.name", formats.port_name)
    elif number:
        errors += [bad(f"{where}.service.port.number", number, text) for text in formats.port_number(number)]
    else:
        errors.append(required(where, "port name or number is required"))
    return errors


def ingress_class(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    controller, parameters, where = spec.get("controller", ""), spec.get("parameters"), "spec.parameters"
    errors: list[FieldError] = []
    if len(controller) > _CONTROLLER_BYTES:
        errors.append(too_long("spec.controller", _CONTROLLER_BYTES))
    errors += domain_path(controller, "spec.controller")
    if parameters is None:
        return errors
    errors += _reference(parameters, where)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope is None:
        errors.append(required(f"{where}.scope"))
    errors += optional_choice(scope, f"{where}.scope", ("Cluster", "Namespace"))
    if scope == "Namespace":
        words = "`parameters.scope` is set to 'Namespace'"
        errors += name(namespace, f"{where}.namespace", formats.label_name, words)
    elif scope == "Cluster" and namespace is not None:
        errors.append(forbidden(f"{where}.namespace", "`parameters.scope` is set to 'Cluster'"))
    return errors


def ingress_class_update(new: Object, old: Object) -> list[FieldError]:
    now, was = ((obj.get("spec") or {}).get("controller", "") for obj in (new, old))
    return immutable(now, was, "spec.controller")


def ip_address(obj: Object) -> list[FieldError]:
    """An IPAddress: whose an address is."""
    parent, where = (obj.get("spec") or {}).get("parentRef"), "spec.parentRef"
    if parent is None:
        return [required(where)]
    errors = optional_name(parent.get("group"), f"{where}.group", formats.subdomain_name)
    for key in ("resource", "name"):
        errors += name(parent.get(key), f"{where}.{key}", path_segment_name)
    return errors + optional_name(parent.get("namespace"), f"{where}.namespace", path_segment_name)


def ip_address_update(new: Object, old: Object) -> list[FieldError]:
    now, was = ((obj.get("spec") or {}).get("parentRef") for obj in (new, old))
    return immutable(now, was, "spec.parentRef")


def service_cidr(obj: Object) -> list[FieldError]:
    found, field = (obj.get("spec") or {}).get("cidrs") or [], "spec.cidrs"
    if not found:
        return [required(field, "at least one CIDR required")]
    if len(found) > 2:
        return [bad(field, {"CIDRs": found}, "may only hold up to 2 values")]
    errors = [error for cidr, where in items(found, field) for error in _network(cidr, where)]
    if not errors and len(found) == 2 and len({ipaddress.ip_network(cidr).version for cidr in found}) == 1:
        words = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        errors.append(bad(field, found, words))
    return errors


def _network(cidr: str, where: str) -> list[FieldError]:
    from .services import cidr as check

    return check(cidr, where)


def service_cidr_update(new: Object, old: Object) -> list[FieldError]:
    """One network more, of the other family, and no other change."""
    now, was = ((obj.get("spec") or {}).get("cidrs") or [] for obj in (new, old))
    field = "spec.cidrs"
    if len(now) == len(was) or (len(was) == 1 and len(now) == 2):
        changed = zip(now, was, strict=False)
        errors = [bad(f"{field}[{index}]", new, IMMUTABLE) for index, (new, old) in enumerate(changed) if new != old]
        return errors if len(now) == len(was) else errors + service_cidr(new)
    return [bad(field, now, IMMUTABLE)]
