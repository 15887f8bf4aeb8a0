"""Which hosts of the LAN may be reached over VXLAN instead of the relay, and whether they are. Pure.

A machine of root's tells its own address in its Node's annotation. Whether packets really arrive there (no firewall, no
NAT) only a try tells: agents send each other probes as frames over the very device, and a host is used as long as it
answers. Everything else goes by the relay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Address
from typing import Any

from . import switch, world

UNDERLAY = "panal.dev/underlay-address"
"""The annotation of a Node: where its machine takes VXLAN packets."""
SILENCE_SECONDS = 13.0
_ETHERTYPE = b"\x88\xb5"
"""For local experiments: IEEE Std 802, 9.2.3."""
_MAGIC = b"panal"
_PING, _PONG = b"\0", b"\1"
SIZE = 60
"""Bytes of the shortest frame, which a probe fills."""

Node = Mapping[str, Any]


def peers(nodes: Iterable[Node], here: Collection[bytes], center: str) -> dict[bytes, str]:
    """LAN address of each node elsewhere -> its machine's own address, where that is told."""
    known = list(nodes)
    told = {node["metadata"]["name"]: _underlay(node) for node in known}
    found: dict[bytes, str] = {}
    for node in known:
        remote = world.remote_address(node)
        lan = remote if remote is not None else _internal(node)
        underlay = told.get(node["metadata"]["name"] if remote is not None else center)
        if lan is not None and underlay and lan not in here:
            found[lan] = underlay
    return found


def _underlay(node: Node) -> str | None:
    text = (node["metadata"].get("annotations") or {}).get(UNDERLAY)
    try:
        address = IPv4Address(text)
    except ValueError:
        return None
    usual = not (address.is_multicast or address.is_loopback or address.is_unspecified or address.is_reserved)
    return str(address) if usual else None


def _internal(node: Node) -> bytes | None:
    for item in (node.get("status") or {}).get("addresses") or ():
        if item.get("type") == "InternalIP":
            try:
                return IPv4Address(item.get("address")).packed
            except ValueError:
                return None
    return None


def ping(own: bytes, other: bytes) -> bytes:
    """The frame by which a host asks another one whether it is there."""
    return _probe(own, other, _PING)


def _probe(own: bytes, other: bytes, kind: bytes) -> bytes:
    return (switch.link(other) + switch.link(own) + _ETHERTYPE + _MAGIC + kind).ljust(SIZE, b"\0")


def read(frame: bytes) -> tuple[bytes, bytes, bool] | None:
    """(sender, receiver, whether it asks) of a probe; None for any other frame."""
    if len(frame) < 20 or frame[12:14] != _ETHERTYPE or frame[14:19] != _MAGIC or frame[19:20] not in (_PING, _PONG):
        return None
    return frame[8:12], frame[2:6], frame[19:20] == _PING


class Ways:
    """What is known of each peer. Every method gives what is to be done now."""

    def __init__(self, here: Collection[bytes]) -> None:
        self._here = here
        self._peers: dict[bytes, str] = {}
        self._heard: dict[bytes, float] = {}
        self.used: set[bytes] = set()

    def known(self, found: Mapping[bytes, str]) -> tuple[dict[bytes, str], set[bytes]]:
        """The peers from now on: those to point at a (new) machine, and those to forget."""
        new = {lan: underlay for lan, underlay in found.items() if self._peers.get(lan) != underlay}
        gone = set(self._peers) - set(found)
        for lan in (*new, *gone):
            self._heard.pop(lan, None)
        self._peers = dict(found)
        return new, gone

    @property
    def addresses(self) -> tuple[bytes, ...]:
        return tuple(self._peers)

    def answer(self, frame: bytes, now: float) -> bytes | None:
        """A frame came in: what to send back, if anything. A pong is remembered."""
        found = read(frame)
        if found is None:
            return None
        sender, receiver, asks = found
        if sender not in self._peers or receiver not in self._here:
            return None
        if asks:
            return _probe(receiver, sender, _PONG)
        self._heard[sender] = now
        return None

    def due(self, now: float) -> tuple[set[bytes], set[bytes]]:
        """The peers to be used from now on, and those to be left to the relay; `used` follows."""
        good = {lan for lan, heard in self._heard.items() if lan in self._peers and now - heard < SILENCE_SECONDS}
        begin, end = good - self.used, self.used - good
        self.used = good
        return begin, end
