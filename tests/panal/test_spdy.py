"""SPDY frames, there and back, in any pieces."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal import spdy
from panal.spdy import Data, Decoder, Encoder, Frame, GoAway, Headers, Ping, ProtocolError, Reset, SynReply, SynStream

NUMBERS = st.integers(1, 2**31 - 1)
NAMES = st.text("abcdefghij-:", min_size=1, max_size=12)
HEADERS = st.dictionaries(NAMES, st.text(max_size=30), max_size=5)
FRAMES = st.one_of(
    st.builds(SynStream, NUMBERS, HEADERS, st.booleans()),
    st.builds(SynReply, NUMBERS, HEADERS, st.booleans()),
    st.builds(Headers, NUMBERS, HEADERS, st.booleans()),
    st.builds(Reset, NUMBERS, st.integers(1, 11)),
    st.builds(Ping, NUMBERS),
    st.builds(GoAway, NUMBERS, st.integers(0, 2)),
    st.builds(Data, NUMBERS, st.binary(min_size=1, max_size=50), st.booleans()),
)


def joined(frames: list[Frame]) -> list[Frame]:
    """Pieces of one data frame together."""
    whole: list[Frame] = []
    for frame in frames:
        last = whole[-1] if whole else None
        if isinstance(frame, Data) and isinstance(last, Data) and last.stream == frame.stream and not last.fin:
            whole[-1] = Data(frame.stream, last.payload + frame.payload, frame.fin)
        else:
            whole.append(frame)
    return whole


@given(st.lists(FRAMES, max_size=8), st.integers(1, 40))
def test_frames_survive_being_cut_anywhere(frames: list[Frame], size: int) -> None:
    encoder, decoder = Encoder(), Decoder()
    wire = b"".join(encoder.encode(frame) for frame in frames)
    seen = [frame for at in range(0, len(wire), size) for frame in decoder.feed(wire[at : at + size])]
    assert joined(seen) == joined(frames)


def test_the_dictionary_is_the_drafts() -> None:
    assert len(spdy.dictionary()) == 1423
    assert zlib.adler32(spdy.dictionary()) == 0xE3C6A7C2


def test_a_stream_as_it_is_on_the_wire() -> None:
    wire = Encoder().encode(SynStream(1, {"streamtype": "error"}))
    assert wire[:4] == b"\x80\x03\x00\x01"
    assert wire[8:18] == b"\0\0\0\1\0\0\0\0\0\0"
    assert wire[18:24] == b"\x78\xbb\xe3\xc6\xa7\xc2"


def test_the_end_of_a_stream_needs_no_bytes() -> None:
    assert list(Decoder().feed(Encoder().encode(Data(5, b"", fin=True)))) == [Data(5, b"", fin=True)]


def test_large_data_is_passed_on_before_it_is_complete() -> None:
    wire = Encoder().encode(Data(3, b"x" * 100_000, fin=True))
    pieces = list(Decoder().feed(wire[:50_000]))
    assert pieces == [Data(3, b"x" * 49_992, fin=False)]


def test_frames_of_no_interest_are_read_over() -> None:
    window_update = b"\x80\x03\x00\x09\0\0\0\x08\0\0\0\1\0\0\1\0"
    settings = b"\x80\x03\x00\x04\0\0\0\x04\0\0\0\0"
    assert list(Decoder().feed(window_update + settings + Encoder().encode(Ping(1)))) == [Ping(1)]


@pytest.mark.parametrize(
    "wire",
    [
        b"\x80\x02\x00\x01\0\0\0\0",
        b"\x80\x03\x00\x01\0\xff\xff\xff",
        b"\x80\x03\x00\x06\0\0\0\0",
        b"\x80\x03\x00\x02\0\0\0\x0a\0\0\0\1notzip",
    ],
    ids=["version 2", "a control frame of 16 MiB", "an empty ping", "headers that are not compressed"],
)
def test_what_is_no_spdy_is_refused(wire: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(Decoder().feed(wire))


def test_a_bomb_of_headers_is_refused() -> None:
    wire = Encoder().encode(SynStream(1, {"a": "x" * 1_000_000}))
    assert len(wire) < spdy.MAX_CONTROL
    with pytest.raises(ProtocolError, match="headers too long"):
        list(Decoder().feed(wire))
