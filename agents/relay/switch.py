"""Where a frame goes: to the bridge here, to another machine, back as an answer, or nowhere. Pure.

Every host of the LAN has a link address made from its IPv4 address (0a:58:a.b.c.d, see netns.py), so that a frame's
destination tells the host, and nothing need be learnt or flooded. Broadcasts don't leave a machine: whoever asks who
has a remote address (ARP, RFC 826) is answered here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

VNET = 10
"""Bytes of the virtio-net header before each frame."""
_OWN = b"\x0a\x58"
_BROADCAST = b"\xff" * 6
_ARP, _IPV4 = b"\x08\x06", b"\x08\x00"
_REQUEST = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1)
_REPLY = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2)

Frame = bytes | memoryview


@dataclass(frozen=True)
class Pool:
    """Addresses that one host has besides its own: those the load balancer gives to Services."""

    first: int
    last: int
    owner: bytes
    """The host's address, packed."""


def packed(address: str) -> bytes:
    return IPv4Address(address).packed


def link(address: bytes) -> bytes:
    """The link address of a host."""
    return _OWN + address


def destination(frame: Frame) -> bytes | None:
    """The address of the host that the frame is for; None for everybody, and for what is no host's."""
    target = bytes(frame[VNET : VNET + 6])
    return target[2:] if target[:2] == _OWN and len(target) == 6 else None


def sender(frame: Frame) -> bytes | None:
    """The address of the host that sent it."""
    source = bytes(frame[VNET + 6 : VNET + 12])
    return source[2:] if source[:2] == _OWN and len(source) == 6 else None


def is_carried(frame: Frame) -> bool:
    """Whether its contents are of the sort that goes between machines: IPv4."""
    return bytes(frame[VNET + 12 : VNET + 14]) == _IPV4


def answer(frame: Frame, is_remote: Callable[[bytes], bool]) -> bytes | None:
    """The ARP reply, header and all, where a host here asks for an address that is on another machine."""
    if bytes(frame[VNET : VNET + 6]) != _BROADCAST or bytes(frame[VNET + 12 : VNET + 14]) != _ARP:
        return None
    body = bytes(frame[VNET + 14 : VNET + 42])
    if len(body) != 28 or body[:8] != _REQUEST:
        return None
    asker, asker_address, wanted = body[8:14], body[14:18], body[24:28]
    if wanted == asker_address or not is_remote(wanted):
        return None
    mine = link(wanted)
    return bytes(VNET) + asker + mine + _ARP + _REPLY + mine + wanted + asker + asker_address


def redirected(frame: Frame, pools: tuple[Pool, ...]) -> tuple[bytes, Frame] | None:
    """The frame for the host that has the destination besides its own address, and who that is."""
    target = destination(frame)
    if target is None:
        return None
    number = int.from_bytes(target, "big")
    for pool in pools:
        if pool.first <= number <= pool.last:
            return pool.owner, bytes(frame[:VNET]) + link(pool.owner) + bytes(frame[VNET + 6 :])
    return None
