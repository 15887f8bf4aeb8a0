"""Where bodies end, however they are cut into pieces, and chunks that nobody should pass on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal.proxy.ingress.bodies import MAX_LINE, MAX_TRAILERS, Body
from panal.proxy.ingress.heads import BadMessage

WHOLE = [
    b"0\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5;name=value\r\nhello\r\n00\r\nTrailer: x\r\nOther:\r\n\r\n",
    b"A\r\n0123456789\r\n5 ; a\r\nhello\r\n0\r\n\r\n",
    b"4\r\n\r\n\r\n\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("message", WHOLE)
@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_a_chunked_body_ends_where_it_ends_however_it_comes(message: bytes, step: int) -> None:
    body = Body("chunked")
    stream = message + b"GET / HTTP/1.1\r\n"
    used = 0
    while not body.done:
        used += body.feed(stream[used : used + step])
    assert used == len(message)


def test_what_the_chunks_carry_can_be_had_without_their_lines() -> None:
    body = Body("chunked", collect=True)
    body.feed(b"5\r\nhel")
    assert body.payload() == b"hel"
    body.feed(b"lo\r\n1\r\n!\r\n0\r\n\r\n")
    assert body.payload() == b"lo!"
    assert body.done


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.integers(1, 9))
def test_every_payload_comes_through(parts: list[bytes], step: int) -> None:
    message = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    body, out = Body("chunked", collect=True), b""
    for at in range(0, len(message), step):
        body.feed(message[at : at + step])
        out += body.payload()
    assert out == b"".join(parts)
    assert body.done


def feed_all(body: Body, data: bytes, step: int) -> None:
    for at in range(0, len(data), step):
        body.feed(data[at : at + step])


@pytest.mark.parametrize(
    "data",
    [
        b"\r\nhello",
        b"g\r\n",
        b"-1\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5\nhello\n0\n\n",
        b"5\rhello\r\n",
        b"5;a\nb\r\nhello\r\n",
        b"5;a\rb\r\nhello\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"0\r\nTransfer-Encoding : chunked\r\n\r\n",
        b"0\r\n folded\r\n\r\n",
        b"0\r\n\n",
        b"5;" + b"a" * MAX_LINE,
        b"0\r\n" + b"X: y\r\n" * (MAX_TRAILERS // 6 + 2) + b"\r\n",
    ],
)
def test_malformed_chunks_are_refused(data: bytes) -> None:
    for step in (1, 10_000_000):
        body = Body("chunked")
        with pytest.raises(BadMessage):
            feed_all(body, data, step)


def test_a_body_of_a_told_length_leaves_what_follows() -> None:
    body = Body(5)
    assert (body.feed(b"hel"), body.done) == (3, False)
    assert (body.feed(b"loGET"), body.done) == (2, True)
    assert Body(0).done


def test_a_body_until_the_end_takes_everything() -> None:
    body = Body("close")
    assert (body.feed(b"anything"), body.done) == (8, False)
