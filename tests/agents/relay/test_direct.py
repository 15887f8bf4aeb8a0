"""Who is reached directly: what Nodes tell, what probes say, and what is done about it."""

from __future__ import annotations

from typing import Any

from panal.addresses import LAN_ADDRESS
from panal.agents.relay import direct
from panal.agents.relay.switch import packed

NODO1, LAPTOP, TOWER = (packed(f"192.168.0.{last}") for last in (100, 104, 105))


def node(name: str, lan: str | None = None, underlay: str | None = None, internal: str = "") -> dict[str, Any]:
    marks = {LAN_ADDRESS: lan, direct.UNDERLAY: underlay}
    return {
        "metadata": {"name": name, "annotations": {key: value for key, value in marks.items() if value}},
        "status": {"addresses": [{"type": "InternalIP", "address": internal or lan or ""}]},
    }


NODES = [
    node("nodo1", underlay="10.99.0.1", internal="192.168.0.100"),
    node("nodoa", internal="192.168.0.101"),
    node("laptop", "192.168.0.104", "10.99.0.2"),
    node("guest", "192.168.0.106"),
]


def test_the_control_planes_nodes_are_where_its_agent_is_and_who_tells_nothing_is_relayed():
    assert direct.peers(NODES, {packed("192.168.0.105")}, "nodo1") == {
        NODO1: "10.99.0.1",
        packed("192.168.0.101"): "10.99.0.1",
        LAPTOP: "10.99.0.2",
    }


def test_what_is_no_machines_address_is_not_believed():
    for text in ("127.0.0.1", "224.0.0.1", "0.0.0.0", "nonsense", "::1", "255.255.255.255"):
        assert direct.peers([node("laptop", "192.168.0.104", text)], set(), "nodo1") == {}


def test_a_peer_is_used_as_long_as_it_answers():
    here, there = direct.Ways({TOWER}), direct.Ways({LAPTOP})
    assert here.known({LAPTOP: "10.99.0.2"}) == ({LAPTOP: "10.99.0.2"}, set())
    there.known({TOWER: "10.99.0.3"})
    assert here.due(0.0) == (set(), set())
    reply = there.answer(direct.ping(TOWER, LAPTOP), 0.0)
    assert reply is not None
    assert here.answer(reply, 1.0) is None
    assert here.due(1.0) == ({LAPTOP}, set())
    assert here.due(2.0) == (set(), set())
    assert here.due(1.0 + direct.SILENCE_SECONDS) == (set(), {LAPTOP})


def test_a_peer_that_has_moved_must_answer_from_there():
    ways = direct.Ways({TOWER})
    ways.known({LAPTOP: "10.99.0.2"})
    pong = direct.Ways({LAPTOP})
    pong.known({TOWER: "x"})
    ways.answer(pong.answer(direct.ping(TOWER, LAPTOP), 0.0) or b"", 0.0)
    assert ways.due(0.0) == ({LAPTOP}, set())
    assert ways.known({LAPTOP: "10.99.0.77"}) == ({LAPTOP: "10.99.0.77"}, set())
    assert ways.due(0.1) == (set(), {LAPTOP})
    assert ways.known({}) == ({}, {LAPTOP})


def test_strangers_and_other_frames_get_no_answer():
    ways = direct.Ways({TOWER})
    ways.known({LAPTOP: "10.99.0.2"})
    assert ways.answer(direct.ping(NODO1, TOWER), 0.0) is None  # no peer
    assert ways.answer(direct.ping(LAPTOP, NODO1), 0.0) is None  # for somebody else
    assert ways.answer(bytes(60), 0.0) is None
    assert ways.answer(b"short", 0.0) is None
    assert ways.answer(direct.ping(LAPTOP, TOWER), 0.0) is not None
