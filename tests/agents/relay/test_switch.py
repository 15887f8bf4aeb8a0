"""Where frames go."""

from __future__ import annotations

import struct

from panal.agents.relay import switch
from panal.agents.relay.switch import VNET, Pool, link, packed

HERE, FAR, BALANCER = packed("192.168.0.100"), packed("192.168.0.104"), packed("192.168.0.10")
BROADCAST = b"\xff" * 6


def frame(target: bytes, source: bytes, kind: bytes = b"\x08\x00", body: bytes = b"x" * 40) -> bytes:
    return bytes(VNET) + target + source + kind + body


def arp(wanted: bytes, asker: bytes = HERE, operation: int = 1) -> bytes:
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + link(asker) + asker + bytes(6) + wanted
    return frame(BROADCAST, link(asker), b"\x08\x06", body)


def test_a_frame_tells_who_it_is_for_and_from():
    found = frame(link(FAR), link(HERE))
    assert (switch.destination(found), switch.sender(found)) == (FAR, HERE)
    assert switch.is_carried(found)
    assert not switch.is_carried(frame(link(FAR), link(HERE), b"\x86\xdd"))
    assert switch.destination(frame(BROADCAST, link(HERE))) is None
    assert switch.destination(b"") is None


def test_who_asks_for_a_remote_address_is_answered_here():
    reply = switch.answer(arp(FAR), lambda address: address == FAR)
    assert reply is not None
    assert reply[VNET : VNET + 12] == link(HERE) + link(FAR)
    assert reply[VNET + 14 :] == struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2) + link(FAR) + FAR + link(HERE) + HERE


def test_other_questions_are_left_to_the_lan():
    assert switch.answer(arp(HERE, asker=HERE), lambda address: True) is None
    assert switch.answer(arp(FAR), lambda address: False) is None
    assert switch.answer(arp(FAR, operation=2), lambda address: True) is None
    assert switch.answer(arp(FAR)[:40], lambda address: True) is None
    assert switch.answer(frame(BROADCAST, link(HERE)), lambda address: True) is None


def test_an_address_that_the_load_balancer_holds_leads_to_it():
    pool = Pool(int.from_bytes(packed("192.168.0.11"), "big"), int.from_bytes(packed("192.168.0.99"), "big"), BALANCER)
    found = switch.redirected(frame(link(packed("192.168.0.42")), link(FAR)), (pool,))
    assert found is not None
    assert found[0] == BALANCER
    assert switch.destination(found[1]) == BALANCER
    assert switch.redirected(frame(link(HERE), link(FAR)), (pool,)) is None
