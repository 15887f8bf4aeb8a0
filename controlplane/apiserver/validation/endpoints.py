"""Checks of Endpoints and EndpointSlices."""

from __future__ import annotations

import functools
import ipaddress

from panal import formats

from ..fielderrors import FieldError, bad, duplicate, required, too_many
from .checks import Object, choice, formatted, items, name, optional_name
from .containers import PROTOCOLS
from .handlers import port
from .meta import immutable

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_ADDRESSES, _ENDPOINTS, _PORTS = 100, 1000, 20_000
_HINTS = 8


def endpoints(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    for subset, where in items(obj.get("subsets"), "subsets"):
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            errors.append(required(where, "must specify `addresses` or `notReadyAddresses`"))
        for key in ("addresses", "notReadyAddresses"):
            for address, at in items(subset.get(key), f"{where}.{key}"):
                if not _verdict(address.get("ip", ""))[0]:
                    errors += formatted(address.get("ip", ""), f"{at}.ip", formats.ip_address)
                errors += optional_name(address.get("hostname"), f"{at}.hostname", formats.label_name)
                errors += optional_name(address.get("nodeName"), f"{at}.nodeName", formats.subdomain_name)
                errors += special(address.get("ip", ""), f"{at}.ip")
        found = subset.get("ports") or ()
        for item, at in items(found, f"{where}.ports"):
            check = name if len(found) > 1 else optional_name
            errors += check(item.get("name"), f"{at}.name", formats.label_name)
            errors += port(item.get("port", 0), f"{at}.port") + _protocol(item, at)
    return errors


def _protocol(item: Object, where: str) -> list[FieldError]:
    errors = choice(item.get("protocol"), f"{where}.protocol", PROTOCOLS)
    application = item.get("appProtocol")
    if application is not None:
        errors += formatted(application, f"{where}.appProtocol", formats.qualified_name)
    return errors


def endpoint_address(address: str, field: str) -> list[FieldError]:
    """An address that a connection can go to."""
    return formatted(address, field, formats.ip_address) or special(address, field)


def special(address: str, field: str) -> list[FieldError]:
    """Addresses that no connection from elsewhere reaches. Loopback ones are allowed: pods may have them here."""
    _, why = _verdict(address)
    return [bad(field, address, why)] if why else []


def _verdict(address: str) -> tuple[int, str]:
    """The address' version, 0 for none, and why no connection may go there."""
    return _known(address) if len(address) < 64 else _look(address)


def _look(address: str) -> tuple[int, str]:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return 0, "must be a valid IP address"
    if found.is_unspecified:
        return found.version, f"may not be unspecified ({address})"
    if found.is_link_local:
        return found.version, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    if found in ipaddress.ip_network("224.0.0.0/24") or found in ipaddress.ip_network("ff02::/16"):
        return found.version, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
    return found.version, ""


_known = functools.lru_cache(maxsize=8192)(_look)
"""Every change of one endpoint writes, and checks, all the others of its slice again."""


def endpoint_slice(obj: Object) -> list[FieldError]:
    kind = obj.get("addressType", "")
    return choice(kind, "addressType", ADDRESS_TYPES) + _endpoints(obj.get("endpoints") or (), kind) + _ports(obj)


def _endpoints(found: list[Object] | tuple[Object, ...], kind: str) -> list[FieldError]:
    if len(found) > _ENDPOINTS:
        return [too_many("endpoints", len(found), _ENDPOINTS)]
    errors: list[FieldError] = []
    for endpoint, where in items(found, "endpoints"):
        addresses = endpoint.get("addresses") or ()
        if not addresses:
            errors.append(required(f"{where}.addresses", "must contain at least 1 address"))
        elif len(addresses) > _ADDRESSES:
            errors.append(too_many(f"{where}.addresses", len(addresses), _ADDRESSES))
        for address, at in items(addresses, f"{where}.addresses"):
            errors += _address(address, kind, at)
        if (node := endpoint.get("nodeName")) is not None:
            errors += formatted(node, f"{where}.nodeName", formats.subdomain_name)
        if (host := endpoint.get("hostname")) is not None:
            errors += formatted(host, f"{where}.hostname", formats.label_name)
        hints = endpoint.get("hints") or {}
        for key in ("forZones", "forNodes"):
            errors += _hinted(hints.get(key) or (), f"{where}.hints.{key}")
    return errors


def _hinted(found: list[Object] | tuple[Object, ...], field: str) -> list[FieldError]:
    if len(found) > _HINTS:
        return [too_many(field, len(found), _HINTS)]
    errors: list[FieldError] = []
    seen: set[str] = set()
    for each, where in items(found, field):
        called = each.get("name", "")
        if called in seen:
            errors.append(duplicate(where, called))
        seen.add(called)
    return errors


def _address(address: str, kind: str, where: str) -> list[FieldError]:
    if kind == "FQDN":
        return _qualified(address, where)
    if kind not in ("IPv4", "IPv6"):
        return []
    version, _ = _verdict(address)
    if f"IPv{version}" != kind:
        return [bad(where, address, f"must be a valid {kind} address"), *special(address, where)]
    return special(address, where)


def _qualified(address: str, where: str) -> list[FieldError]:
    """A name that means the same everywhere."""
    if not address:
        return [required(where)]
    found = address.removesuffix(".")
    errors = formatted(found, where, formats.subdomain_name)
    if len(found.split(".")) < 2 and not errors:
        return [bad(where, found, "should be a domain with at least two segments separated by dots")]
    return errors or [error for label in found.split(".") for error in formatted(label, where, formats.label_name)]


def _ports(obj: Object) -> list[FieldError]:
    found = obj.get("ports") or ()
    if len(found) > _PORTS:
        return [too_many("ports", len(found), _PORTS)]
    errors: list[FieldError] = []
    names: set[str] = set()
    for item, where in items(found, "ports"):
        called = item.get("name") or ""
        errors += optional_name(called, f"{where}.name", formats.label_name)
        if called in names:
            errors.append(duplicate(f"{where}.name", called))
        names.add(called)
        if (number := item.get("port")) is not None:
            errors += port(number, f"{where}.port")
        errors += _protocol(item, where)
    return errors


def endpoint_slice_update(new: Object, old: Object) -> list[FieldError]:
    return immutable(new.get("addressType", ""), old.get("addressType", ""), "addressType")
