"""DNS messages on the wire (RFC 1035, RFC 6891), compactly: only what a server asked by stub resolvers needs.

A name is its wire form in lower case, with the root's zero byte: labels can't be confused with dots, comparison is
comparison of bytes, and a question needs no decoding. (Length bytes are below 64, so lower-casing the whole is safe.)
Pure: no sockets, no clocks. `answer.py` decides what to say, `server.py` carries it.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, OPT, AXFR, ANY = 1, 2, 5, 6, 12, 15, 16, 28, 33, 41, 252, 255
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16

QR, AA, TC, RD, RA, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010

HEADER = struct.Struct(">HHHHHH")
_RECORD = struct.Struct(">HHIH")
_QUESTION = struct.Struct(">HH")

MAX_UDP = 1232
"""The largest datagram sent, whatever the client offers: it is never fragmented (DNS Flag Day 2020)."""
MAX_TCP = 65535
ROOT = b"\0"


class FormatError(ValueError):
    """The message isn't a query this module can read."""


class Record(NamedTuple):
    """A resource record of class IN, `data` in wire form without compression."""

    owner: bytes
    type: int
    ttl: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Query:
    """A question as it came in. `raw` is the question section as it was asked, its letters' case kept."""

    id: int
    flags: int
    name: bytes
    type: int
    klass: int
    raw: bytes
    udp_size: int
    """What the client can take in a datagram: 512 without EDNS."""
    edns: bool = False
    edns_version: int = 0
    edns_plain: bool = True
    """True when there are no EDNS options, so that the same bytes will be asked again and the answer can be kept."""
    dnssec_ok: bool = False

    @property
    def opcode(self) -> int:
        return (self.flags >> 11) & 15


@dataclass(frozen=True, slots=True)
class Reply:
    """What to say. `chase` is an alias' target outside the zones: the server asks upstream and appends the answer."""

    rcode: int = NOERROR
    authoritative: bool = False
    answers: Sequence[Record] = ()
    authority: Sequence[Record] = ()
    additional: Sequence[Record] = ()
    chase: bytes | None = None


def name(text: str) -> bytes:
    """Encode `a.b.c` or `a.b.c.`; raises ValueError for what is no name."""
    text = text.rstrip(".")
    if not text:
        return ROOT
    out = bytearray()
    for label in text.lower().encode("ascii").split(b"."):
        if not 0 < len(label) < 64:
            raise ValueError(f"bad label in {text!r}")
        out.append(len(label))
        out += label
    out.append(0)
    if len(out) > 255:
        raise ValueError(f"name too long: {text[:64]!r}...")
    return bytes(out)


def text(wire: bytes) -> str:
    """The name for people: without the final dot, unprintable bytes as \\DDD (RFC 4343)."""
    labels = ("".join(_shown(byte) for byte in label) for label in labels_of(wire))
    return ".".join(labels) or "."


def _shown(byte: int) -> str:
    return chr(byte) if 33 <= byte < 127 and byte not in b".\\" else f"\\{byte:03d}"


def labels_of(wire: bytes) -> Iterator[bytes]:
    """The labels of a name, leftmost first."""
    at = 0
    while length := wire[at]:
        yield wire[at + 1 : at + 1 + length]
        at += 1 + length


def ancestry(wire: bytes) -> Iterator[bytes]:
    """The name itself, then its parents up to the root."""
    while True:
        yield wire
        length = wire[0]
        if not length:
            return
        wire = wire[1 + length :]


def address_data(address: str) -> tuple[int, bytes]:
    """The record type and data of an address; raises ValueError."""
    packed = ipaddress.ip_address(address).packed
    return (A if len(packed) == 4 else AAAA), packed


def reverse_name(address: str) -> bytes:
    """10.1.0.10 -> 10.0.1.10.in-addr.arpa; raises ValueError."""
    return name(ipaddress.ip_address(address).reverse_pointer)


def srv_data(priority: int, weight: int, port: int, target: bytes) -> bytes:
    return struct.pack(">HHH", priority, weight, port) + target


def srv_target(data: bytes) -> bytes:
    return data[6:]


def txt_data(value: str) -> bytes:
    raw = value.encode()
    return b"".join(bytes([len(part)]) + part for part in (raw[i : i + 255] for i in range(0, len(raw), 255) or (0,)))


def soa_data(primary: bytes, mailbox: bytes, serial: int, minimum: int) -> bytes:
    return primary + mailbox + struct.pack(">IIIII", serial & 0xFFFFFFFF, 7200, 1800, 86400, minimum)


def read_name(data: bytes, at: int) -> tuple[bytes, int]:
    """The (lower-case) name at `at`, pointers followed, and the offset behind it; raises FormatError."""
    parts: list[bytes] = []
    total, end, limit = 1, -1, at
    while True:
        if at >= len(data):
            raise FormatError("name runs past the message")
        length = data[at]
        if length >= 0xC0:
            if at + 1 >= len(data):
                raise FormatError("pointer runs past the message")
            if end < 0:
                end = at + 2
            at = ((length & 0x3F) << 8) | data[at + 1]
            if at >= limit:  # pointers only ever lead backwards, so this ends
                raise FormatError("pointer leads forward")
            limit = at
            continue
        if length >= 0x40:
            raise FormatError("unknown label type")
        if not length:
            return b"".join(parts).lower() + ROOT, (at + 1 if end < 0 else end)
        total += 1 + length
        if total > 255 or at + 1 + length > len(data):
            raise FormatError("name too long")
        parts.append(data[at : at + 1 + length])
        at += 1 + length


def parse_query(data: bytes) -> Query:
    """Read a query; raises FormatError with a header too short to answer or anything else that is malformed."""
    if len(data) < 12:
        raise FormatError("shorter than a header")
    ident, flags, questions, answers, authorities, additional = HEADER.unpack_from(data)
    if flags & QR:
        raise FormatError("a response, not a query")
    if questions != 1 or answers or authorities:
        raise FormatError("not exactly one question")
    qname, at = read_name(data, 12)
    if at + 4 > len(data):
        raise FormatError("question runs past the message")
    qtype, klass = _QUESTION.unpack_from(data, at)
    at += 4
    raw = data[12:at]
    size, edns, version, plain, dnssec_ok = 512, False, 0, True, False
    for _ in range(additional):
        owner, at = read_name(data, at)
        if at + 10 > len(data):
            raise FormatError("record runs past the message")
        rtype, rclass, ttl, length = _RECORD.unpack_from(data, at)
        at += 10 + length
        if at > len(data):
            raise FormatError("record runs past the message")
        if rtype == OPT:
            if edns or owner != ROOT:
                raise FormatError("bad OPT record")
            edns, version, plain = True, (ttl >> 16) & 255, not length
            size, dnssec_ok = max(512, rclass), bool(ttl & 0x8000)
        else:
            plain = False
    return Query(ident, flags, qname, qtype, klass, raw, size, edns, version, plain, dnssec_ok)


def pack(query: Query, reply: Reply, limit: int) -> bytes:
    """The message that answers `query`, at most `limit` bytes; TC is set when answers had to be left out."""
    flags = QR | RA | (query.flags & (RD | CD | 0x7800)) | (reply.rcode & 15)
    if reply.authoritative:
        flags |= AA
    opt = _opt(query, reply.rcode) if query.edns else b""
    body = bytearray(HEADER.size) + query.raw
    known = {query.name: 12}
    counts = [0, 0, 0]
    room = limit - len(opt)
    for section, records in enumerate((reply.answers, reply.authority, reply.additional)):
        for record in records:
            packed = _pack_record(record, known, len(body))
            if len(body) + len(packed) > room:
                if section < 2:  # additional records may be left out without a word (RFC 2181, 9)
                    flags |= TC
                break
            body += packed
            counts[section] += 1
        if flags & TC:
            break
    HEADER.pack_into(body, 0, query.id, flags, 1, counts[0], counts[1], counts[2] + (1 if opt else 0))
    return bytes(body + opt)


def _pack_record(record: Record, known: dict[bytes, int], at: int) -> bytes:
    owner = known.get(record.owner)
    if owner is None:
        if at < 0x4000:
            known[record.owner] = at
        head = record.owner
    else:
        head = struct.pack(">H", 0xC000 | owner)
    return head + _RECORD.pack(record.type, IN, record.ttl, len(record.data)) + record.data


def _opt(query: Query, rcode: int) -> bytes:
    extended = ((rcode >> 4) << 24) | (0x8000 if query.dnssec_ok else 0)
    return ROOT + _RECORD.pack(OPT, MAX_UDP, extended, 0)


def pack_error(data: bytes, rcode: int) -> bytes | None:
    """The answer to a message that could not be read: its header with the error; None when it deserves none."""
    if len(data) < 12:
        return None
    ident, flags = struct.unpack_from(">HH", data)
    if flags & QR:
        return None
    return HEADER.pack(ident, QR | RA | (flags & (RD | 0x7800)) | rcode, 0, 0, 0, 0)


def pack_query(ident: int, qname: bytes, qtype: int, size: int = MAX_UDP) -> bytes:
    """A recursive query of our own, with EDNS."""
    question = qname + _QUESTION.pack(qtype, IN)
    return HEADER.pack(ident, RD, 1, 0, 0, 1) + question + ROOT + _RECORD.pack(OPT, size, 0, 0)


@dataclass(frozen=True, slots=True)
class Response:
    """What matters of an upstream's response: its parts, and where its TTLs stand so that they can be counted down."""

    id: int
    flags: int
    name: bytes
    type: int
    answers: tuple[Record, ...]
    authority: tuple[Record, ...]
    ttl_offsets: tuple[int, ...]
    min_ttl: int
    """The smallest TTL of all records but OPT; 0 without any."""

    @property
    def rcode(self) -> int:
        return self.flags & 15

    @property
    def truncated(self) -> bool:
        return bool(self.flags & TC)


_NAMES_IN_DATA = {CNAME: (0, 1), NS: (0, 1), PTR: (0, 1), MX: (2, 1), SRV: (6, 1), SOA: (0, 2)}
"""Types whose data may hold compressed names: how many bytes stand before them, and how many there are."""


def parse_response(data: bytes) -> Response:
    """Read a response to one question; raises FormatError."""
    if len(data) < 12:
        raise FormatError("shorter than a header")
    ident, flags, questions, *counts = HEADER.unpack_from(data)
    if not flags & QR or questions != 1:
        raise FormatError("not a response to one question")
    qname, at = read_name(data, 12)
    if at + 4 > len(data):
        raise FormatError("question runs past the message")
    qtype, _ = _QUESTION.unpack_from(data, at)
    at += 4
    sections: tuple[list[Record], list[Record], list[Record]] = ([], [], [])
    offsets: list[int] = []
    for section, count in zip(sections, counts, strict=True):
        for _ in range(count):
            record, ttl_at, at = _read_record(data, at)
            if record.type != OPT:
                offsets.append(ttl_at)
                section.append(record)
    lowest = min((record.ttl for section in sections for record in section), default=0)
    return Response(ident, flags, qname, qtype, tuple(sections[0]), tuple(sections[1]), tuple(offsets), lowest)


def _read_record(data: bytes, at: int) -> tuple[Record, int, int]:
    """The record at `at` with names in its data made whole, the offset of its TTL, and the offset behind it."""
    owner, at = read_name(data, at)
    if at + 10 > len(data):
        raise FormatError("record runs past the message")
    rtype, _, ttl, length = _RECORD.unpack_from(data, at)
    start, end = at + 10, at + 10 + length
    if end > len(data):
        raise FormatError("record runs past the message")
    fixed, names = _NAMES_IN_DATA.get(rtype, (length, 0))
    content, here = data[start : start + fixed], start + fixed
    for _ in range(names):
        part, here = read_name(data, here)
        content += part
    return Record(owner, rtype, ttl, content + data[here:end]), at + 4, end


def with_ttls_reduced(data: bytes, offsets: Sequence[int], seconds: int) -> bytes:
    """The message with every TTL at `offsets` counted down by `seconds`."""
    out = bytearray(data)
    for at in offsets:
        ttl = int.from_bytes(out[at : at + 4], "big")
        out[at : at + 4] = max(0, ttl - seconds).to_bytes(4, "big")
    return bytes(out)
