"""Checks of Services, Endpoints and EndpointSlices."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from panal import formats

from ..fielderrors import FieldError, Shown, bad, duplicate, forbidden, go_quote, not_supported, required
from .containers import PROTOCOLS, port
from .meta import labels

Object = Mapping[str, Any]

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
MAX_AFFINITY_SECONDS = 86400


def service(obj: Object) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    kind = spec.get("type", "")
    ports: Sequence[Object] = spec.get("ports") or ()
    headless = _headless(spec)
    errors: list[FieldError] = []
    if not ports and not headless and kind != "ExternalName":
        errors.append(required("spec.ports"))
    if kind == "LoadBalancer":
        for index, item in enumerate(ports):
            if item.get("port") == 10250:
                errors.append(
                    bad(
                        f"spec.ports[{index}].port",
                        10250,
                        "may not expose port 10250 externally since it is used by kubelet",
                    )
                )
        if headless:
            errors.append(_not_headless("LoadBalancer"))
    elif kind == "NodePort" and headless:
        errors.append(_not_headless("NodePort"))
    elif kind == "ExternalName":
        errors += _external_name(spec)
    names: set[str] = set()
    for index, item in enumerate(ports):
        errors += _port(item, index, len(ports) > 1, names)
    if "selector" in spec:
        errors += labels(spec.get("selector"), "spec.selector")
    affinity = spec.get("sessionAffinity", "")
    if not affinity:
        errors.append(required("spec.sessionAffinity"))
    elif affinity not in ("ClientIP", "None"):
        errors.append(not_supported("spec.sessionAffinity", affinity, ("ClientIP", "None")))
    elif affinity == "ClientIP":
        seconds = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
        if seconds is None or not 0 < seconds <= MAX_AFFINITY_SECONDS:
            words = f"must be greater than 0 and less than {MAX_AFFINITY_SECONDS}"
            errors.append(bad("spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds, words))
    errors += cluster_ips(spec)
    for index, address in enumerate(spec.get("externalIPs") or ()):
        errors += [bad(f"spec.externalIPs[{index}]", address, text) for text in formats.ip_address(address)]
    if not kind:
        errors.append(required("spec.type"))
    elif kind not in TYPES:
        errors.append(not_supported("spec.type", kind, TYPES))
    errors += _node_ports(ports, kind) + _unique_ports(ports)
    return errors + _source_ranges(spec, kind) + _traffic(spec, kind)


def _headless(spec: Object) -> bool:
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
    target = item.get("targetPort", 0)
    errors += port(target, f"{where}.targetPort")
    return errors


def cluster_ips(spec: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    if spec.get("type") == "ExternalName":
        return errors
    addresses = spec.get("clusterIPs") or ()
    single = spec.get("clusterIP", "")
    if addresses and not single:
        errors.append(bad("spec.clusterIPs", list(addresses), "must be empty when `clusterIP` is not specified"))
    elif addresses and addresses[0] != single:
        errors.append(bad("spec.clusterIPs", list(addresses), "first value must match `clusterIP`"))
    for index, address in enumerate(addresses):
        if index == 0 and address == "None":
            if len(addresses) > 1:
                words = "'None' must be the first and only value"
                errors.append(bad("spec.clusterIPs", list(addresses), words))
            continue
        errors += [bad(f"spec.clusterIPs[{index}]", address, text) for text in formats.ip_address(address)]
    if len(addresses) > 2:
        words = "may only hold up to 2 values"
        errors.append(bad("spec.clusterIPs", list(addresses), words))
    return errors


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


def _source_ranges(spec: Object, kind: str) -> list[FieldError]:
    ranges = spec.get("loadBalancerSourceRanges") or ()
    field = "spec.LoadBalancerSourceRanges"
    errors: list[FieldError] = []
    if ranges and kind != "LoadBalancer":
        errors.append(forbidden(field, "may only be used when `type` is 'LoadBalancer'"))
    for index, found in enumerate(ranges):
        errors += cidr(found, f"{field}[{index}]")
    if kind != "LoadBalancer":
        if spec.get("allocateLoadBalancerNodePorts") is not None:
            errors.append(
                forbidden("spec.allocateLoadBalancerNodePorts", "may only be used when `type` is 'LoadBalancer'")
            )
        if spec.get("loadBalancerClass") is not None:
            errors.append(forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'"))
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
    inside = spec.get("internalTrafficPolicy")
    if inside is not None and inside not in ("Cluster", "Local"):
        errors.append(not_supported("spec.internalTrafficPolicy", inside, ("Cluster", "Local")))
    return errors


def service_update(new: Object, old: Object) -> list[FieldError]:
    """What may not change any more once it is allocated."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    errors: list[FieldError] = []
    if "ExternalName" not in (before.get("type"), after.get("type")):
        was, now = before.get("clusterIPs") or [], after.get("clusterIPs") or []
        if was and now and was[0] != now[0]:
            errors.append(bad("spec.clusterIPs[0]", list(now), "may not change once set"))
        if was and not now:
            errors.append(bad("spec.clusterIPs[0]", list(now), "primary clusterIP can not be unset"))
    if before.get("type") == after.get("type") == "LoadBalancer" and before.get("loadBalancerClass") != after.get(
        "loadBalancerClass"
    ):
        errors.append(bad("spec.loadBalancerClass", after.get("loadBalancerClass"), "may not change once set"))
    return errors


def endpoints(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, subset in enumerate(obj.get("subsets") or ()):
        where = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            errors.append(required(where, "must specify `addresses` or `notReadyAddresses`"))
        for key in ("addresses", "notReadyAddresses"):
            for position, address in enumerate(subset.get(key) or ()):
                errors += endpoint_address(address.get("ip", ""), f"{where}.{key}[{position}].ip")
        found = subset.get("ports") or ()
        for position, item in enumerate(found):
            at = f"{where}.ports[{position}]"
            if len(found) > 1 and not item.get("name"):
                errors.append(required(f"{at}.name"))
            elif item.get("name"):
                errors += [bad(f"{at}.name", item["name"], text) for text in formats.label_name(item["name"])]
            errors += [bad(f"{at}.port", item.get("port", 0), t) for t in formats.port_number(item.get("port", 0))]
            if item.get("protocol") not in PROTOCOLS:
                errors.append(not_supported(f"{at}.protocol", item.get("protocol", ""), PROTOCOLS))
    return errors


def endpoint_address(address: str, field: str) -> list[FieldError]:
    """An address that a connection can go to. Loopback ones are allowed: in the `loopback` network pods have them."""
    if complaints := formats.ip_address(address):
        return [bad(field, address, text) for text in complaints]
    found = ipaddress.ip_address(address)
    if found.is_unspecified:
        return [bad(field, address, f"may not be unspecified ({address})")]
    if found.is_link_local:
        return [bad(field, address, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")]
    if found.is_multicast:
        return [bad(field, address, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")]
    return []


ADDRESS_TYPES = ("IPv4", "IPv6", "FQDN")


def endpoint_slice(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    kind = obj.get("addressType", "")
    if not kind:
        errors.append(required("addressType"))
    elif kind not in ADDRESS_TYPES:
        errors.append(not_supported("addressType", kind, ADDRESS_TYPES))
    found = obj.get("endpoints") or ()
    if len(found) > 1000:
        from ..fielderrors import too_many

        errors.append(too_many("endpoints", len(found), 1000))
    for index, endpoint in enumerate(found):
        addresses = endpoint.get("addresses") or ()
        where = f"endpoints[{index}].addresses"
        if not addresses:
            errors.append(required(where, "must contain at least 1 address"))
        for position, address in enumerate(addresses):
            at = f"{where}[{position}]"
            if kind == "FQDN":
                errors += [bad(at, address, text) for text in formats.subdomain_name(address)]
            elif wrong := endpoint_address(address, at):
                errors += wrong
            elif kind in ("IPv4", "IPv6") and f"IPv{ipaddress.ip_address(address).version}" != kind:
                errors.append(bad(at, address, f"must be an {kind} address"))
    names: set[str] = set()
    for index, item in enumerate(obj.get("ports") or ()):
        at = f"ports[{index}]"
        name = item.get("name") or ""
        if name:
            errors += [bad(f"{at}.name", name, text) for text in formats.port_name(name)]
        if name in names:
            errors.append(duplicate(f"{at}.name", name))
        names.add(name)
        if item.get("protocol") not in PROTOCOLS:
            errors.append(not_supported(f"{at}.protocol", item.get("protocol", ""), PROTOCOLS))
    return errors
