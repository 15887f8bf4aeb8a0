"""Service addresses in a network namespace: made local on `lo` (userspace mode), or given a route (netfilter mode).

A node of Panal's LAN has no default route, and the kernel looks for one before its rules may redirect a local
process' packet; so netfilter mode gives every Service address a route to the LAN. What is here carries a mark (an
address label, a route protocol), so that a restarted kube-proxy knows its own and removes what no longer belongs.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator

from .netlink import (
    NETLINK_ROUTE,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Netlink,
    attribute,
    attributes,
    ignoring,
)

LABEL = "lo:panal"
"""Of addresses on lo; at most 15 characters, starting with the device's name."""
ROUTE_PROTOCOL = 180
"""Of our routes; not in use in iproute2's rt_protos."""

_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL = 1, 2, 3
_RTA_DST, _RTA_OIF, _RTA_PREFSRC, _RTA_TABLE = 1, 4, 7, 15
_SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_HOST = 0, 253, 254
_TABLE_MAIN, _UNICAST = 254, 1
_ADDRESS, _ROUTE = struct.Struct("=BBBBI"), struct.Struct("=BBBBBBBBI")


class LocalAddresses:
    """/32 addresses of one device that are ours: `set` makes them these and no others.

    On `lo` their scope is host, so that the kernel never picks one as the source of other traffic.
    """

    def __init__(self, device: str = "lo", label: str = LABEL) -> None:
        self._index = socket.if_nametoindex(device)
        self._label = label
        self._scope = _SCOPE_HOST if device == "lo" else _SCOPE_UNIVERSE
        with Netlink(NETLINK_ROUTE) as netlink:
            self._have = set(self._ours(netlink))

    def set(self, addresses: Iterable[str]) -> None:
        """Raises OSError. An address that the device has from elsewhere is left as it is."""
        wanted = set(addresses)
        if wanted == self._have:
            return
        with Netlink(NETLINK_ROUTE) as netlink:
            for address in sorted(wanted - self._have):
                with ignoring(errno.EEXIST):
                    netlink.change(_NEWADDR, self._message(address), NLM_F_CREATE | NLM_F_EXCL)
                self._have.add(address)
            for address in sorted(self._have - wanted):
                with ignoring(errno.EADDRNOTAVAIL):
                    netlink.change(_DELADDR, self._message(address))
                self._have.discard(address)

    def _message(self, address: str) -> bytes:
        packed = socket.inet_aton(address)
        return (
            _ADDRESS.pack(socket.AF_INET, 32, 0, self._scope, self._index)
            + attribute(_IFA_LOCAL, packed)
            + attribute(_IFA_ADDRESS, packed)
            + attribute(_IFA_LABEL, self._label.encode() + b"\0")
        )

    def _ours(self, netlink: Netlink) -> Iterator[str]:
        for body in netlink.dump(_GETADDR, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)):
            found = dict(attributes(body[_ADDRESS.size :]))
            if found.get(_IFA_LABEL, b"").rstrip(b"\0") == self._label.encode():
                yield socket.inet_ntoa(found[_IFA_LOCAL])


class ServiceRoutes:
    """Routes to Service addresses by the device that has `source`, where the kernel has no default route."""

    def __init__(self, source: str) -> None:
        self._source = socket.inet_aton(source)
        with Netlink(NETLINK_ROUTE) as netlink:
            self._device = self._find_device(netlink)
            routes = list(self._routes(netlink))
        self._needed = self._device is not None and not any(dst is None for dst, _ in routes)
        self._have = {dst for dst, protocol in routes if dst is not None and protocol == ROUTE_PROTOCOL}

    def set(self, addresses: Iterable[str]) -> None:
        """Raises OSError."""
        wanted = set(addresses) if self._needed else set()
        if wanted == self._have:
            return
        with Netlink(NETLINK_ROUTE) as netlink:
            for address in sorted(wanted - self._have):
                netlink.change(_NEWROUTE, self._message(address), NLM_F_CREATE | NLM_F_REPLACE)
                self._have.add(address)
            for address in sorted(self._have - wanted):
                with ignoring(errno.ESRCH):
                    netlink.change(_DELROUTE, self._message(address))
                self._have.discard(address)

    def _message(self, address: str) -> bytes:
        head = _ROUTE.pack(socket.AF_INET, 32, 0, 0, _TABLE_MAIN, ROUTE_PROTOCOL, _SCOPE_LINK, _UNICAST, 0)
        message = head + attribute(_RTA_DST, socket.inet_aton(address))
        if self._device is not None:
            message += attribute(_RTA_OIF, struct.pack("=I", self._device))
        return message + attribute(_RTA_PREFSRC, self._source)

    def _find_device(self, netlink: Netlink) -> int | None:
        for body in netlink.dump(_GETADDR, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)):
            if dict(attributes(body[_ADDRESS.size :])).get(_IFA_LOCAL) == self._source:
                return int(_ADDRESS.unpack_from(body)[4])
        return None

    def _routes(self, netlink: Netlink) -> Iterator[tuple[str | None, int]]:
        """(destination, or None for the default route; protocol) in the main table."""
        for body in netlink.dump(_GETROUTE, _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)):
            _, length, _, _, table, protocol, *_ = _ROUTE.unpack_from(body)
            if table != _TABLE_MAIN:
                continue
            destination = dict(attributes(body[_ROUTE.size :])).get(_RTA_DST)
            if length == 0:
                yield None, protocol
            elif destination is not None and length == 32:
                yield socket.inet_ntoa(destination), protocol


def device_of_network(address: str) -> str | None:
    """The name of the device whose own network holds this address (or is this address)."""
    wanted = ipaddress.IPv4Address(address)
    with Netlink(NETLINK_ROUTE) as netlink:
        for body in netlink.dump(_GETADDR, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)):
            _, length, _, _, index = _ADDRESS.unpack_from(body)
            local = dict(attributes(body[_ADDRESS.size :])).get(_IFA_LOCAL)
            if local and wanted in ipaddress.ip_network((local, length), strict=False):
                return socket.if_indextoname(index)
    return None
