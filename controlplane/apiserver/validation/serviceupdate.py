"""What may change of a Service that has its addresses already, and what may be written into its status."""

from __future__ import annotations

from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, forbidden, required
from .checks import Object, items, optional_choice, optional_name
from .services import headless

_SET = "may not change once set"


def service_update(new: Object, old: Object) -> list[FieldError]:
    """What may not change any more once it is allocated."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    errors: list[FieldError] = []
    if "ExternalName" not in (before.get("type"), after.get("type")):
        errors += _changed_addresses(after, before) + _changed_families(after, before)
    if before.get("type") == after.get("type") == "LoadBalancer":
        wanted = after.get("loadBalancerClass")
        if before.get("loadBalancerClass") != wanted:
            errors.append(bad("spec.loadBalancerClass", wanted, _SET))
        local = (before.get("externalTrafficPolicy"), after.get("externalTrafficPolicy")) == ("Local", "Local")
        if local and before.get("healthCheckNodePort") != after.get("healthCheckNodePort"):
            errors.append(forbidden("spec.healthCheckNodePort", "field is immutable"))
    return errors


def _changed_addresses(after: Object, before: Object) -> list[FieldError]:
    now, was, field = after.get("clusterIPs") or [], before.get("clusterIPs") or [], "spec.clusterIPs"
    if now == was == ["None"]:
        return []
    if len(now) == len(was):
        return [
            bad(f"{field}[{i}]", now, _SET) for i, (one, other) in enumerate(zip(now, was, strict=True)) if one != other
        ]
    errors: list[FieldError] = []
    if was and not now:
        errors.append(bad(f"{field}[0]", now, "primary clusterIP can not be unset"))
    elif was and now[0] != was[0]:
        errors.append(bad(f"{field}[0]", now, _SET))
    return errors + _released(after, now, was, "clusterIP")


def _released(after: Object, now: Any, was: Any, what: str) -> list[FieldError]:
    """One of two is given back only by who says that one is enough."""
    if not (len(now) == 1 < len(was)) or after.get("ipFamilyPolicy") == "SingleStack":
        return []
    words = f"must be set to 'SingleStack' when releasing the secondary {what}"
    return [bad("spec.ipFamilyPolicy", after.get("ipFamilyPolicy"), words)]


def _changed_families(after: Object, before: Object) -> list[FieldError]:
    if headless(after) or headless(before):
        return []
    now, was, field = after.get("ipFamilies") or [], before.get("ipFamilies") or [], "spec.ipFamilies[0]"
    if len(now) == len(was):
        return [bad(field, now, _SET) for one, other in zip(now, was, strict=True) if one != other]
    errors: list[FieldError] = []
    if now and was and now[0] != was[0]:
        errors.append(bad(field, after.get("clusterIPs") or [], _SET))
    return errors + _released(after, now, was, "ipFamily")


def service_status(obj: Object, old: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    field, kind = "status.loadBalancer.ingress", (obj.get("spec") or {}).get("type")
    found = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    if found and kind != "LoadBalancer":
        return [forbidden(field, "may only be used when `spec.type` is 'LoadBalancer'")]
    for each, where in items(found, field):
        address, mode, host = each.get("ip"), each.get("ipMode"), each.get("hostname")
        errors += optional_name(address, f"{where}.ip", formats.ip_address)
        if address and mode is None:
            errors.append(required(f"{where}.ipMode", "must be specified when `ip` is set"))
        elif mode is not None and not address:
            errors.append(forbidden(f"{where}.ipMode", "may not be specified when `ip` is not set"))
        else:
            errors += optional_choice(mode, f"{where}.ipMode", ("Proxy", "VIP"))
        errors += optional_name(host, f"{where}.hostname", formats.subdomain_name)
        if host and not formats.ip_address(host):
            errors.append(bad(f"{where}.hostname", host, "must be a DNS name, not an IP address"))
    return errors
