"""Checks of Services, new and changed."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from panal import formats
from panal.addresses import in_loopback

from ..fielderrors import FieldError, Shown, bad, duplicate, forbidden, go_quote, not_supported, required
from .checks import Object, items, optional_choice
from .containers import PROTOCOLS
from .endpoints import endpoint_address
from .handlers import port
from .meta import labels

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
MAX_AFFINITY_SECONDS = 86400


def service(obj: Object) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    kind = spec.get("type", "")
    ports: Sequence[Object] = spec.get("ports") or ()
    without = headless(spec)
    errors: list[FieldError] = []
    if not ports and not without and kind != "ExternalName":
        errors.append(required("spec.ports"))
    if kind == "LoadBalancer":
        if without:
            errors.append(_not_headless("LoadBalancer"))
    elif kind == "NodePort" and without:
        errors.append(_not_headless("NodePort"))
    elif kind == "ExternalName":
        errors += _external_name(spec)
    names: set[str] = set()
    for index, item in enumerate(ports):
        errors += _port(item, index, len(ports) > 1, names)
    if "selector" in spec:
        errors += labels(spec.get("selector"), "spec.selector")
    errors += _affinity(spec) + cluster_ips(spec)
    for address, where in items(spec.get("externalIPs"), "spec.externalIPs"):
        errors += endpoint_address(address, where) or _loopback(address, where)
    if not kind:
        errors.append(required("spec.type"))
    elif kind not in TYPES:
        errors.append(not_supported("spec.type", kind, TYPES))
    errors += _node_ports(ports, kind) + _unique_ports(ports)
    return errors + _balanced(obj, spec, kind) + _traffic(spec, kind)


def _affinity(spec: Object) -> list[FieldError]:
    kind, config, field = spec.get("sessionAffinity", ""), spec.get("sessionAffinityConfig"), "spec.sessionAffinity"
    if not kind:
        return [required(field)]
    if kind not in ("ClientIP", "None"):
        return [not_supported(field, kind, ("ClientIP", "None"))]
    where, need = "spec.sessionAffinityConfig", "when session affinity type is ClientIP"
    if kind == "None":
        words = "must not be set when session affinity is None"
        return [] if config is None else [forbidden(where, words)]
    if config is None:
        return [required(where, need)]
    if config.get("clientIP") is None:
        return [required(f"{where}.clientIP", need)]
    seconds = config["clientIP"].get("timeoutSeconds")
    if seconds is None:
        return [required(f"{where}.clientIP.timeoutSeconds", need)]
    if 0 < seconds <= MAX_AFFINITY_SECONDS:
        return []
    words = f"must be greater than 0 and less than {MAX_AFFINITY_SECONDS}"
    return [bad(f"{where}.clientIP.timeoutSeconds", seconds, words)]


def _loopback(address: str, field: str) -> list[FieldError]:
    """In the network of that name the machine has no other addresses."""
    if in_loopback() or not ipaddress.ip_address(address).is_loopback:
        return []
    return [bad(field, address, "may not be in the loopback range (127.0.0.0/8, ::1/128)")]


def headless(spec: Object) -> bool:
    return spec.get("clusterIP") == "None" or list(spec.get("clusterIPs") or ())[:1] == ["None"]


def _not_headless(kind: str) -> FieldError:
    return bad("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")


def _external_name(spec: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    if spec.get("clusterIPs"):
        errors.append(forbidden("spec.clusterIPs", "may not be set for ExternalName services"))
    errors += [
        forbidden(f"spec.{key}", "may not be set for ExternalName services")
        for key in ("ipFamilies", "ipFamilyPolicy")
        if spec.get(key)
    ]
    name = (spec.get("externalName") or "").removesuffix(".")
    if not name:
        errors.append(required("spec.externalName"))
    else:
        errors += [bad("spec.externalName", name, text) for text in formats.subdomain_name(name)]
    return errors


def _port(item: Object, index: int, several: bool, names: set[str]) -> list[FieldError]:
    where = f"spec.ports[{index}]"
    errors: list[FieldError] = []
    name = item.get("name", "")
    if several and not name:
        errors.append(required(f"{where}.name"))
    elif name:
        errors += [bad(f"{where}.name", name, complaint) for complaint in formats.label_name(name)]
        if name in names:
            errors.append(duplicate(f"{where}.name", name))
        names.add(name)
    number = item.get("port", 0)
    errors += [bad(f"{where}.port", number, complaint) for complaint in formats.port_number(number)]
    protocol = item.get("protocol", "")
    if not protocol:
        errors.append(required(f"{where}.protocol"))
    elif protocol not in PROTOCOLS:
        errors.append(not_supported(f"{where}.protocol", protocol, PROTOCOLS))
    errors += port(item.get("targetPort", 0), f"{where}.targetPort")
    if (application := item.get("appProtocol")) is not None:
        errors += [bad(f"{where}.appProtocol", application, text) for text in formats.qualified_name(application)]
    return errors


FAMILIES = ("IPv4", "IPv6")
FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_ONE_EACH = "may specify no more than one IP for each IP family"


def cluster_ips(spec: Object) -> list[FieldError]:
    """The Service's addresses and their families, which say the same."""
    errors: list[FieldError] = []
    if spec.get("type") == "ExternalName":
        return errors
    addresses, single, field = list(spec.get("clusterIPs") or ()), spec.get("clusterIP", ""), "spec.clusterIPs"
    families = list(spec.get("ipFamilies") or ())
    if single and not addresses:
        errors.append(required(field))
    elif addresses and not single:
        errors.append(bad(field, addresses, "must be empty when `clusterIP` is not specified"))
    elif addresses and addresses[0] != single:
        errors.append(bad(field, addresses, "first value must match `clusterIP`"))
    for index, family in enumerate(families):
        if family not in FAMILIES:
            errors.append(not_supported(f"spec.ipFamilies[{index}]", family, FAMILIES))
        if family in families[:index]:
            errors.append(duplicate(f"spec.ipFamilies[{index}]", family))
    errors += optional_choice(spec.get("ipFamilyPolicy"), "spec.ipFamilyPolicy", FAMILY_POLICIES)
    if addresses == ["None"]:
        return errors
    wrong: list[FieldError] = []
    if addresses[:1] == ["None"]:
        wrong.append(bad(field, addresses, "'None' must be the first and only value"))
    for index, address in enumerate(addresses):
        if index or address != "None":
            wrong += [bad(f"{field}[{index}]", address, text) for text in formats.ip_address(address)]
    errors += wrong
    if len(addresses) > 2:
        errors.append(bad(field, addresses, "may only hold up to 2 values"))
    return errors if wrong else errors + _of_families(addresses, families, field)


def _of_families(addresses: list[str], families: list[str], field: str) -> list[FieldError]:
    found = [f"IPv{ipaddress.ip_address(address).version}" for address in addresses]
    errors = [bad(field, addresses, _ONE_EACH)] if len(found) > 1 and len(set(found)) < 2 else []
    return errors + [
        bad(f"{field}[{index}]", addresses[index], f"expected an {family} value as indicated by `ipFamilies[{index}]`")
        for index, (family, real) in enumerate(zip(families, found, strict=False))
        if family in FAMILIES and family != real
    ]


def _node_ports(ports: Sequence[Object], kind: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if kind == "ClusterIP":
        errors += [
            forbidden(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")
            for index, item in enumerate(ports)
            if item.get("nodePort")
        ]
    seen: set[tuple[str, int]] = set()
    for index, item in enumerate(ports):
        number = item.get("nodePort", 0)
        if not number:
            continue
        key = (item.get("protocol", ""), number)
        if key in seen:
            errors.append(duplicate(f"spec.ports[{index}].nodePort", number))
        seen.add(key)
    return errors


def _unique_ports(ports: Sequence[Object]) -> list[FieldError]:
    errors = []
    seen: set[tuple[str, int]] = set()
    for index, item in enumerate(ports):
        key = (item.get("protocol", ""), item.get("port", 0))
        if key in seen:
            text = f'{{"Name":"","Protocol":{go_quote(key[0])},"AppProtocol":null,"Port":{key[1]},'
            text += '"TargetPort":0,"NodePort":0}'
            errors.append(duplicate(f"spec.ports[{index}]", Shown(text)))
        seen.add(key)
    return errors


_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_BALANCERS_ONLY = "may only be used when `type` is 'LoadBalancer'"


def _balanced(obj: Object, spec: Object, kind: str) -> list[FieldError]:
    """What load balancers have, and only they. Sources may be padded with blanks, as annotations may."""
    ranges, field = spec.get("loadBalancerSourceRanges") or (), "spec.LoadBalancerSourceRanges"
    note = (obj["metadata"].get("annotations") or {}).get(_RANGES)
    errors: list[FieldError] = []
    found = [(each.strip(), f"{field}[{index}]") for index, each in enumerate(ranges)]
    if not ranges and note is not None:
        field = f"metadata.annotations[{_RANGES}]"
        found = [(each.strip(), field) for each in note.split(",")] if note.strip() else []
    if (ranges or note is not None) and kind != "LoadBalancer":
        errors.append(forbidden(field, _BALANCERS_ONLY))
    for each, where in found:
        errors += cidr(each, where)
    if kind != "LoadBalancer":
        keys = ("allocateLoadBalancerNodePorts", "loadBalancerClass")
        return errors + [forbidden(f"spec.{key}", _BALANCERS_ONLY) for key in keys if spec.get(key) is not None]
    if spec.get("allocateLoadBalancerNodePorts") is None:
        errors.append(required("allocateLoadBalancerNodePorts"))
    if (found_class := spec.get("loadBalancerClass")) is not None:
        errors += [bad("spec.loadBalancerClass", found_class, text) for text in formats.qualified_name(found_class)]
    return errors


def cidr(found: str, field: str) -> list[FieldError]:
    """A network, written without bits behind its prefix."""
    if complaints := formats.cidr(found):
        return [bad(field, found, text) for text in complaints]
    interface = ipaddress.ip_interface(found)
    if interface.ip != interface.network.network_address:
        return [bad(field, found, "must not have bits set beyond the prefix length")]
    return []


def _traffic(spec: Object, kind: str) -> list[FieldError]:
    errors: list[FieldError] = []
    external = kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))
    policy = spec.get("externalTrafficPolicy", "")
    if policy and not external:
        words = "may only be set for externally-accessible services"
        errors.append(bad("spec.externalTrafficPolicy", policy, words))
    elif external and not policy:
        errors.append(required("spec.externalTrafficPolicy"))
    elif policy and policy not in ("Cluster", "Local"):
        errors.append(not_supported("spec.externalTrafficPolicy", policy, ("Cluster", "Local")))
    check = spec.get("healthCheckNodePort", 0)
    if check and not (kind == "LoadBalancer" and policy == "Local"):
        words = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        errors.append(bad("spec.healthCheckNodePort", check, words))
    elif check:
        errors += port(check, "spec.healthCheckNodePort")
    inside = spec.get("internalTrafficPolicy")
    if inside is None and kind in TYPES and kind != "ExternalName":
        errors.append(required("spec.internalTrafficPolicy"))
    errors += optional_choice(inside, "spec.internalTrafficPolicy", ("Cluster", "Local"))
    return errors + optional_choice(spec.get("trafficDistribution"), "spec.trafficDistribution", DISTRIBUTIONS)
