"""IP addresses and networks in CEL: `ip('10.0.0.1').family()`, `cidr('10.0.0.0/8').containsIP('10.0.0.1')`. Pure.

https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-ip-address-library. An address is a mapping with one
entry, its canonical text, so that two are equal when they are the same address; so is a network.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

_IP, _CIDR = "ip", "cidr"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _parsed(text: str) -> Address:
    """Raises ValueError. As in Kubernetes, no zone, and no IPv4 address in the clothes of IPv6."""
    found = ipaddress.ip_address(text)
    if isinstance(found, ipaddress.IPv6Address) and (found.ipv4_mapped is not None or found.scope_id):
        raise ValueError(f"IP Address {text!r} parse error during conversion from string")
    return found


def _interface(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    address, slash, length = text.partition("/")
    if not slash or not length.isdecimal():
        raise ValueError(f"network address parse error during conversion from string: {text!r}")
    _parsed(address)
    return ipaddress.ip_interface(text)


def is_ip(text: str) -> bool:
    return _works(_parsed, text)


def is_cidr(text: str) -> bool:
    return _works(_interface, text)


def _works(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def ip(value: Any) -> dict[str, str]:
    """Of a text, or of a network: its address."""
    if isinstance(value, dict):
        return {_IP: str(_interface(value[_CIDR]).ip)}
    return {_IP: str(_parsed(value))}


def cidr(text: str) -> dict[str, str]:
    return {_CIDR: str(_interface(text))}


def _address(value: Any) -> Address:
    return _parsed(value[_IP] if isinstance(value, dict) else value)


def _network(value: Any) -> Network:
    return _interface(value[_CIDR] if isinstance(value, dict) else value).network


def _contains_ip(network: Any, address: Any) -> bool:
    return _address(address) in _network(network)


def _contains_cidr(network: Any, other: Any) -> bool:
    one, two = _network(network), _network(other)
    return one.version == two.version and one.supernet_of(two)  # type: ignore[arg-type]


def _global_unicast(value: Any) -> bool:
    """Go's word for what is neither unspecified, loopback, multicast, link-local nor broadcast."""
    found = _address(value)
    return not (
        found.is_unspecified
        or found.is_loopback
        or found.is_multicast
        or found.is_link_local
        or str(found) == "255.255.255.255"
    )


TABLE: dict[str, Callable[..., Any]] = {
    "isIP": is_ip,
    "isCIDR": is_cidr,
    "ip": ip,
    "cidr": cidr,
    "ip_isCanonical": lambda text: str(_parsed(text)) == text,
    "family": lambda value: _address(value).version,
    "isUnspecified": lambda value: _address(value).is_unspecified,
    "isLoopback": lambda value: _address(value).is_loopback,
    "isLinkLocalMulticast": lambda value: _address(value).is_multicast and _link_local_multicast(_address(value)),
    "isLinkLocalUnicast": lambda value: _address(value).is_link_local,
    "isGlobalUnicast": _global_unicast,
    "containsIP": _contains_ip,
    "containsCIDR": _contains_cidr,
    "masked": lambda value: {_CIDR: str(_network(value))},
    "prefixLength": lambda value: _network(value).prefixlen,
}
"""By name; the value a method is called on is the first argument."""

_MULTICAST = (ipaddress.ip_network("224.0.0.0/24"), ipaddress.ip_network("ff02::/16"))


def _link_local_multicast(address: Address) -> bool:
    return any(address in each for each in _MULTICAST)
