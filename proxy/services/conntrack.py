"""Cutting flows that the kernel keeps sending to an endpoint that left.

DNAT is decided once a flow, and a client that keeps its port keeps its flow. Stale flows are removed here (ctnetlink),
so that the next packet is decided anew: a datagram goes to another endpoint, a segment finds an endpoint (or a rule)
that knows nothing of its connection and is reset. A TCP connection may go on as long as its endpoint exists, ready or
not; a UDP flow has no end of its own and leaves an endpoint at once. What is stale is decided purely.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from .netlink import NETLINK_NETFILTER, Netlink, attribute, attributes, ignoring
from .table import ServicePort

_CTNETLINK, _GET, _DELETE = 1, 1, 2
_TUPLE_ORIG, _TUPLE_REPLY = 1, 2
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_IP_SOURCE, _IP_DESTINATION = 1, 2
_PROTO_NUMBER, _PROTO_SOURCE_PORT, _PROTO_DESTINATION_PORT = 1, 2, 3
_PROTOCOLS = {socket.IPPROTO_TCP: "TCP", socket.IPPROTO_UDP: "UDP"}
_NUMBERS = {name: number for number, name in _PROTOCOLS.items()}
_NESTED = 0x8000
_HEAD = struct.pack("!BBH", socket.AF_INET, 0, 0)


class Flow(NamedTuple):
    """A flow: where the client sends to, and who answers."""

    protocol: str
    destination: tuple[str, int]
    answers: tuple[str, int]
    key: bytes
    """The kernel's tuple, to name the flow in a request."""


@dataclass(frozen=True)
class _Expected:
    """Who may answer, by protocol and frontend."""

    cluster: dict[tuple[str, tuple[str, int]], frozenset[tuple[str, int]]]
    node_ports: dict[tuple[str, int], frozenset[tuple[str, int]]]


def stale(flows: Iterable[Flow], ports: Iterable[ServicePort], removed: Iterable[ServicePort]) -> Iterator[Flow]:
    """The flows to these service ports that none of their endpoints answers; and all to what was `removed`.

    A flow that began while there were no endpoints is answered by the Service's own address, and so is stale too.
    """
    expected = _expected([(port, False) for port in removed] + [(port, True) for port in ports])
    for flow in flows:
        allowed = expected.cluster.get((flow.protocol, flow.destination))
        if allowed is None:
            allowed = expected.node_ports.get((flow.protocol, flow.destination[1]))
        if flow.protocol == "TCP" and flow.answers == flow.destination:
            continue  # to whatever host outside: not ours
        if allowed is not None and flow.answers not in allowed:
            yield flow


def may_be_stale(before: ServicePort, after: ServicePort) -> bool:
    """Whether a change can leave such flows behind. A new endpoint leaves none, except where there was none before."""
    if before.protocol == "UDP":
        return True
    frontends = [(port.cluster_ips, port.outside_ips, port.port, port.node_port) for port in (before, after)]
    return frontends[0] != frontends[1] or not _existing(before) <= _existing(after)


def _existing(port: ServicePort) -> frozenset[tuple[str, int]]:
    return frozenset((item.ip, item.port) for item in (*port.endpoints, *port.local_endpoints, *port.others))


def _expected(ports: Iterable[tuple[ServicePort, bool]]) -> _Expected:
    found = _Expected({}, {})
    for port, present in ports:
        usable = (*port.endpoints, *port.local_endpoints) if present else ()
        others = port.others if present and port.protocol == "TCP" else ()
        allowed = frozenset((item.ip, item.port) for item in (*usable, *others))
        for ip in (*port.cluster_ips, *port.outside_ips):
            found.cluster[port.protocol, (ip, port.port)] = allowed
        if port.node_port:
            found.node_ports[port.protocol, port.node_port] = allowed
    return found


def cut(ports: Iterable[ServicePort], removed: Iterable[ServicePort]) -> int:
    """Remove the stale flows of this network namespace; returns how many. Raises OSError."""
    with Netlink(NETLINK_NETFILTER) as netlink:
        found = list(stale(list(_flows(netlink)), ports, removed))
        for flow in found:
            with ignoring(errno.ENOENT):
                netlink.change(_CTNETLINK << 8 | _DELETE, _HEAD + flow.key)
    return len(found)


class Translation(NamedTuple):
    """Where netfilter sends a TCP connection, and who its endpoint sees as the other end."""

    target: tuple[str, int]
    source: tuple[str, int]


def translation(client: tuple[str, int], destination: tuple[str, int], protocol: str = "TCP") -> Translation | None:
    """Of the connection from `client` to `destination` in this network namespace; None when conntrack has none.

    Raises OSError.
    """
    ip = attribute(_IP_SOURCE, socket.inet_aton(client[0])) + attribute(
        _IP_DESTINATION, socket.inet_aton(destination[0])
    )
    ports = (
        attribute(_PROTO_NUMBER, bytes((_NUMBERS[protocol],)))
        + attribute(_PROTO_SOURCE_PORT, struct.pack("!H", client[1]))
        + attribute(_PROTO_DESTINATION_PORT, struct.pack("!H", destination[1]))
    )
    key = attribute(_NESTED | _TUPLE_IP, ip) + attribute(_NESTED | _TUPLE_PROTO, ports)
    with Netlink(NETLINK_NETFILTER) as netlink, ignoring(errno.ENOENT):
        for body in netlink.ask(_CTNETLINK << 8 | _GET, _HEAD + attribute(_NESTED | _TUPLE_ORIG, key)):
            reply = _tuple(dict(attributes(body[len(_HEAD) :]))[_TUPLE_REPLY])
            return Translation(reply[1], reply[2]) if reply is not None else None
    return None


def _flows(netlink: Netlink) -> Iterator[Flow]:
    for body in netlink.dump(_CTNETLINK << 8 | _GET, _HEAD):
        found = dict(attributes(body[len(_HEAD) :]))
        original, reply = _tuple(found[_TUPLE_ORIG]), _tuple(found[_TUPLE_REPLY])
        if original is None or reply is None:
            continue
        protocol, _, destination = original
        _, answers, _ = reply
        yield Flow(protocol, destination, answers, attribute(_NESTED | _TUPLE_ORIG, found[_TUPLE_ORIG]))


def _tuple(data: bytes) -> tuple[str, tuple[str, int], tuple[str, int]] | None:
    """(protocol, source, destination) of a TCP or UDP tuple; None for another protocol."""
    parts = dict(attributes(data))
    ip, proto = dict(attributes(parts[_TUPLE_IP])), dict(attributes(parts[_TUPLE_PROTO]))
    protocol = _PROTOCOLS.get(proto[_PROTO_NUMBER][0])
    if protocol is None or _IP_SOURCE not in ip:
        return None
    source = socket.inet_ntoa(ip[_IP_SOURCE]), struct.unpack("!H", proto[_PROTO_SOURCE_PORT])[0]
    destination = socket.inet_ntoa(ip[_IP_DESTINATION]), struct.unpack("!H", proto[_PROTO_DESTINATION_PORT])[0]
    return protocol, source, destination
