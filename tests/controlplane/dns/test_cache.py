"""Finished answers are handed out in turn, and never outgrow their bounds."""

from __future__ import annotations

import dns.message

from panal.controlplane.dns import wire
from panal.controlplane.dns.cache import MAX_QUERY, AnswerCache, pack_rotations
from panal.controlplane.dns.wire import Record, Reply


def reply(query: wire.Query, count: int) -> Reply:
    return Reply(answers=[Record(query.name, wire.A, 5, bytes([10, 0, 0, i])) for i in range(count)])


def test_the_first_address_changes_from_answer_to_answer() -> None:
    cache = AnswerCache()
    sent = dns.message.make_query("db.example.org", "A", id=1)
    query = wire.parse_query(sent.to_wire())
    assert cache.get(sent.to_wire()) is None
    cache.put(sent.to_wire(), pack_rotations(query, reply(query, 3), 512))
    again = dns.message.make_query("db.example.org", "A", id=2)
    firsts = []
    for _ in range(6):
        said = cache.get(again.to_wire())
        assert said is not None
        message = dns.message.from_wire(said)
        assert message.id == 2
        assert len(message.answer[0]) == 3
        firsts.append(said[-1 - 2 * 16])
    assert firsts == [0, 1, 2, 0, 1, 2]


def test_many_addresses_are_not_kept_in_as_many_rotations() -> None:
    query = wire.parse_query(dns.message.make_query("db.example.org", "A").to_wire())
    assert len(pack_rotations(query, reply(query, 100), 65535)) <= 16
    assert len(pack_rotations(query, reply(query, 1), 512)) == 1


def test_an_alias_stays_in_front_of_the_addresses() -> None:
    query = wire.parse_query(dns.message.make_query("www.example.org", "A").to_wire())
    alias = Record(query.name, wire.CNAME, 5, wire.name("web.example.org"))
    said = Reply(answers=[alias, *reply(query, 2).answers])
    for packed in pack_rotations(query, said, 512):
        assert wire.parse_response(packed).answers[0].type == wire.CNAME


def test_the_cache_is_bounded_and_can_be_emptied() -> None:
    cache = AnswerCache(entries=3)
    for i in range(10):
        cache.put(b"id" + bytes([i]), [b"idanswer"])
    assert len(cache) <= 3
    cache.put(b"x" * (MAX_QUERY + 1), [b"idanswer"])
    assert cache.get(b"x" * (MAX_QUERY + 1)) is None
    cache.clear()
    assert len(cache) == 0
