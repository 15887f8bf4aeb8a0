"""The wire format (https://protobuf.dev/programming-guides/encoding/): tags, varints and lengths, bounds checked."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)
_MASK = (1 << 64) - 1
_NUMBERS = 1 << 29


class Malformed(Exception):
    """The bytes are no message. Says so in the words of Go's decoder."""


def varint(value: int) -> bytes:
    """An integer; negative ones as 64 bits in two's complement."""
    value &= _MASK
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The unsigned integer at a position, and where it ends."""
    value = shift = 0
    while True:
        if at >= end:
            raise Malformed("unexpected EOF")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, at
        shift += 7
        if shift >= 64:
            raise Malformed("proto: integer overflow")


def fields(data: bytes, start: int, end: int, name: str) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, and the value: the integer and 0, or start and end of its bytes. Groups are skipped."""
    at = start
    while at < end:
        tag, at = read_varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == END_GROUP:
            raise Malformed(f"proto: {name}: wiretype end group for non-group")
        if not 0 < number < _NUMBERS:
            raise Malformed(f"proto: {name}: illegal tag {number} (wire type {tag})")
        if kind == VARINT:
            value, at = read_varint(data, at, end)
            yield number, kind, value, 0
            continue
        if kind == GROUP:
            at = _after_group(data, at, end)
            continue
        if kind == BYTES:
            length, at = read_varint(data, at, end)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise Malformed(f"proto: illegal wireType {kind}")
        if length > end - at:
            raise Malformed("unexpected EOF")
        yield number, kind, at, at + length
        at += length


def _after_group(data: bytes, at: int, end: int) -> int:
    """Where an (unknown, obsolete) group ends; counted, not nested, so that depth costs nothing."""
    depth = 1
    while depth:
        tag, at = read_varint(data, at, end)
        match tag & 7:
            case 0:
                _, at = read_varint(data, at, end)
            case 1:
                at += 8
            case 2:
                length, at = read_varint(data, at, end)
                at += length
            case 3:
                depth += 1
            case 4:
                depth -= 1
            case 5:
                at += 4
            case other:
                raise Malformed(f"proto: illegal wireType {other}")
        if at > end:
            raise Malformed("unexpected EOF")
    return at
