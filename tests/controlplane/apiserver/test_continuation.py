"""Continue tokens: what one page says to the next."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.apiserver import continuation
from panal.controlplane.apiserver.continuation import Position
from panal.errors import BadRequest


@given(st.integers(1, 2**62), st.from_regex(r"[a-z]{1,9}(/[a-z.]{0,9}[a-z])?", fullmatch=True))
def test_a_token_is_read_as_it_was_made(revision: int, last: str) -> None:
    position = Position(revision, last)
    assert continuation.decode(continuation.encode(position)) == position


def token(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("zzz", "invalid character 'Ï' looking for beginning of value"),
        ("a b", "illegal base64 data at input byte 1"),
        ("abcde", "illegal base64 data at input byte 4"),
        (token('{"v":"v9","rv":1,"start":"a"}'), 'server does not recognize this encoded version "v9"'),
        (
            token('{"v":"meta.k8s.io/v1","rv":0,"start":"a"}'),
            "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        ),
        (token('{"v":"meta.k8s.io/v1","rv":1}'), "encoded start key empty (version meta.k8s.io/v1)"),
        (token("[]"), "json: cannot unmarshal array into Go value of type storage.continueToken"),
    ],
)
def test_another_token_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        continuation.decode(text)
    assert caught.value.message == f"invalid continue token: continue key is not valid: {words}"


def test_a_token_does_not_lead_out_of_its_place() -> None:
    with pytest.raises(BadRequest):
        continuation.decode(token('{"v":"meta.k8s.io/v1","rv":1,"start":"../secrets/a"}'))


@given(st.text(max_size=60))
def test_no_token_breaks_the_server(text: str) -> None:
    try:
        continuation.decode(text)
    except BadRequest:
        pass
