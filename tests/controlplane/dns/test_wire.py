"""Messages on the wire: checked against dnspython, and with everything a hostile client may send."""

from __future__ import annotations

import struct

import dns.edns
import dns.flags
import dns.message
import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.dns import wire
from panal.controlplane.dns.wire import FormatError, Record, Reply

HEADER = struct.pack(">HHHHHH", 7, wire.RD, 1, 0, 0, 0)


@given(st.binary(max_size=300))
def test_no_bytes_at_all_break_the_readers(data: bytes) -> None:
    for read in (wire.parse_query, wire.parse_response):
        try:
            read(data)
        except FormatError:
            pass


@given(st.binary(max_size=120))
def test_no_bytes_behind_a_good_header_break_them_either(data: bytes) -> None:
    for header in (HEADER, struct.pack(">HHHHHH", 7, wire.QR, 1, 1, 1, 1)):
        for read in (wire.parse_query, wire.parse_response):
            try:
                read(header + data)
            except FormatError:
                pass


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEADER[:11],
        HEADER,
        HEADER + b"\xc0\x0c\0\1\0\1",  # a name that points at itself
        HEADER + b"\xc0\xff\0\1\0\1",  # and one that points beyond the message
        HEADER + b"\x40a\0\0\1\0\1",  # a label type that doesn't exist
        HEADER + b"\x3fshort\0\0\1\0\1",
        HEADER + b"\1a\0\0\1",
        HEADER + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1",  # longer than a name may be
        struct.pack(">HHHHHH", 7, wire.QR, 1, 0, 0, 0) + b"\0\0\1\0\1",
        struct.pack(">HHHHHH", 7, 0, 2, 0, 0, 0) + b"\0\0\1\0\1" * 2,
        struct.pack(">HHHHHH", 7, 0, 0, 0, 0, 0),
        struct.pack(">HHHHHH", 7, 0, 1, 0, 0, 1) + b"\0\0\1\0\1\0\0\x29\4\0\0\0\0\0\0\xff",
        struct.pack(">HHHHHH", 7, 0, 1, 0, 0, 2) + b"\0\0\1\0\1" + b"\0\0\x29\4\0\0\0\0\0\0\0" * 2,
    ],
)
def test_malformed_queries_are_told_from_good_ones(data: bytes) -> None:
    with pytest.raises(FormatError):
        wire.parse_query(data)


def test_an_unreadable_query_gets_formerr_and_a_response_nothing() -> None:
    said = wire.pack_error(HEADER + b"\xc0\x0c\0\1\0\1", wire.FORMERR)
    assert said is not None
    assert dns.message.from_wire(said).rcode() == 1
    assert wire.pack_error(struct.pack(">HHHHHH", 7, wire.QR, 1, 0, 0, 0), wire.FORMERR) is None
    assert wire.pack_error(b"short", wire.FORMERR) is None


def test_the_question_comes_back_in_the_letters_it_was_asked_in() -> None:
    sent = dns.message.make_query("WeB.Example.ORG", "A")
    query = wire.parse_query(sent.to_wire())
    assert query.name == wire.name("web.example.org")
    said = dns.message.from_wire(wire.pack(query, Reply(answers=[Record(query.name, 1, 5, b"\1\2\3\4")]), 512))
    assert said.question[0].name.to_text() == "WeB.Example.ORG."
    assert said.answer[0].name.to_text() == "WeB.Example.ORG."
    assert said.flags & dns.flags.RD
    assert said.flags & dns.flags.RA


def test_edns_size_version_and_options_are_read() -> None:
    plain = wire.parse_query(dns.message.make_query("a.b", "A").to_wire())
    assert (plain.edns, plain.udp_size, plain.edns_plain) == (False, 512, True)
    sized = wire.parse_query(dns.message.make_query("a.b", "A", use_edns=0, payload=4096, want_dnssec=True).to_wire())
    assert (sized.edns, sized.udp_size, sized.edns_plain, sized.dnssec_ok) == (True, 4096, True, True)
    cookie = dns.edns.GenericOption(10, b"12345678")
    with_cookie = dns.message.make_query("a.b", "A", use_edns=0, options=[cookie])
    assert not wire.parse_query(with_cookie.to_wire()).edns_plain
    tiny = wire.parse_query(dns.message.make_query("a.b", "A", use_edns=0, payload=100).to_wire())
    assert tiny.udp_size == 512


def test_what_does_not_fit_is_cut_off_and_said_so() -> None:
    query = wire.parse_query(dns.message.make_query("many.example.org", "A", use_edns=0, payload=512).to_wire())
    records = [Record(query.name, 1, 5, bytes([10, 0, i >> 8, i & 255])) for i in range(100)]
    packed = wire.pack(query, Reply(answers=records), 512)
    said = dns.message.from_wire(packed)
    assert len(packed) <= 512
    assert said.flags & dns.flags.TC
    assert 0 < len(said.answer[0]) < 100
    whole = dns.message.from_wire(wire.pack(query, Reply(answers=records), 65535))
    assert len(whole.answer[0]) == 100
    assert not whole.flags & dns.flags.TC


def test_additional_records_are_left_out_without_a_word() -> None:
    query = wire.parse_query(dns.message.make_query("srv.example.org", "SRV").to_wire())
    answers = [Record(query.name, wire.SRV, 5, wire.srv_data(0, 100, 80, wire.name("host.example.org")))]
    extra = [Record(wire.name(f"host{i}.example.org"), 1, 5, b"\1\2\3\4") for i in range(50)]
    said = dns.message.from_wire(wire.pack(query, Reply(answers=answers, additional=extra), 512))
    assert not said.flags & dns.flags.TC
    assert len(said.answer) == 1
    assert 0 < len(said.additional) < 50


def test_an_upstreams_compressed_names_are_made_whole_and_its_ttls_found() -> None:
    answer = dns.message.from_text(
        """id 9
opcode QUERY
rcode NOERROR
flags QR RD RA
;QUESTION
www.example.org. IN A
;ANSWER
www.example.org. 300 IN CNAME web.example.org.
web.example.org. 60 IN A 10.0.0.1
;AUTHORITY
example.org. 3600 IN SOA ns.example.org. admin.example.org. 1 2 3 4 5
example.org. 900 IN MX 10 mail.example.org.
"""
    ).to_wire()
    read = wire.parse_response(answer)
    assert read.answers[0] == Record(wire.name("www.example.org"), wire.CNAME, 300, wire.name("web.example.org"))
    assert read.authority[0].data.startswith(wire.name("ns.example.org") + wire.name("admin.example.org"))
    assert read.authority[1].data == b"\0\x0a" + wire.name("mail.example.org")
    assert read.min_ttl == 60
    reduced = dns.message.from_wire(wire.with_ttls_reduced(answer, read.ttl_offsets, 70))
    assert [rrset.ttl for rrset in [*reduced.answer, *reduced.authority]] == [230, 0, 3530, 830]


@pytest.mark.parametrize("bad", ["a..b", "a" * 64, ".".join(["a" * 60] * 5), "ñ.com", ".a"])
def test_what_is_no_name_is_refused(bad: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        wire.name(bad)


def test_names_are_shown_on_one_line() -> None:
    assert wire.text(wire.name("a.b.")) == "a.b"
    assert wire.text(b"\3a\n.\0") == "a\\010\\046"
    assert wire.text(b"\0") == "."
    assert (
        wire.pack_query(1, wire.name("a.b"), 1)
        == dns.message.make_query("a.b", "A", use_edns=0, payload=1232, id=1).to_wire()
    )
    assert wire.txt_data("x" * 300) == b"\xff" + b"x" * 255 + b"\x2d" + b"x" * 45
