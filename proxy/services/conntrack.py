"""Cutting UDP flows that the kernel keeps sending to an endpoint that left.

DNAT is decided once a flow, and a client that keeps its port keeps its flow. TCP connections end by themselves; UDP
flows are removed here (ctnetlink), so that the next datagram is decided anew. What is stale is decided purely.
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
_HEAD = struct.pack("!BBH", socket.AF_INET, 0, 0)


class Flow(NamedTuple):
    """A UDP flow: where the client sends to, and who answers."""

    destination: tuple[str, int]
    answers: tuple[str, int]
    key: bytes
    """The kernel's tuple, to name the flow in a request."""


@dataclass(frozen=True)
class _Expected:
    cluster: dict[tuple[str, int], frozenset[tuple[str, int]]]
    node_ports: dict[int, frozenset[tuple[str, int]]]


def stale(flows: Iterable[Flow], ports: Iterable[ServicePort], removed: Iterable[ServicePort]) -> Iterator[Flow]:
    """The flows to these service ports that none of their endpoints answers; and all to what was `removed`.

    A flow that began while there were no endpoints is answered by the Service's own address, and so is stale too.
    """
    expected = _expected([(port, False) for port in removed] + [(port, True) for port in ports])
    for flow in flows:
        allowed = expected.cluster.get(flow.destination)
        if allowed is None:
            allowed = expected.node_ports.get(flow.destination[1])
        if allowed is not None and flow.answers not in allowed:
            yield flow


def _expected(ports: Iterable[tuple[ServicePort, bool]]) -> _Expected:
    found = _Expected({}, {})
    for port, present in ports:
        if port.protocol != "UDP":
            continue
        usable = (*port.endpoints, *port.local_endpoints) if present else ()
        allowed = frozenset((item.ip, item.port) for item in usable)
        for ip in (*port.cluster_ips, *port.outside_ips):
            found.cluster[ip, port.port] = allowed
        if port.node_port:
            found.node_ports[port.node_port] = allowed
    return found


def cut(ports: Iterable[ServicePort], removed: Iterable[ServicePort]) -> int:
    """Remove the stale flows of this network namespace; returns how many. Raises OSError."""
    with Netlink(NETLINK_NETFILTER) as netlink:
        found = list(stale(list(_flows(netlink)), ports, removed))
        for flow in found:
            with ignoring(errno.ENOENT):
                netlink.change(_CTNETLINK << 8 | _DELETE, _HEAD + flow.key)
    return len(found)


def _flows(netlink: Netlink) -> Iterator[Flow]:
    for body in netlink.dump(_CTNETLINK << 8 | _GET, _HEAD):
        found = dict(attributes(body[len(_HEAD) :]))
        original, reply = _tuple(found[_TUPLE_ORIG]), _tuple(found[_TUPLE_REPLY])
        if original is None or reply is None:
            continue
        _, destination = original
        answers, _ = reply
        yield Flow(destination, answers, attribute(_TUPLE_ORIG | 0x8000, found[_TUPLE_ORIG]))


def _tuple(data: bytes) -> tuple[tuple[str, int], tuple[str, int]] | None:
    """(source, destination) of a UDP tuple; None for another protocol."""
    parts = dict(attributes(data))
    ip, proto = dict(attributes(parts[_TUPLE_IP])), dict(attributes(parts[_TUPLE_PROTO]))
    if proto[_PROTO_NUMBER][0] != socket.IPPROTO_UDP or _IP_SOURCE not in ip:
        return None
    source = socket.inet_ntoa(ip[_IP_SOURCE]), struct.unpack("!H", proto[_PROTO_SOURCE_PORT])[0]
    destination = socket.inet_ntoa(ip[_IP_DESTINATION]), struct.unpack("!H", proto[_PROTO_DESTINATION_PORT])[0]
    return source, destination
