"""What Go says of broken JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.apiserver import gojson


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "unexpected end of JSON input"),
        (b"{", "unexpected end of JSON input"),
        (b'{"a', "unexpected end of JSON input"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b"'", "invalid character '\\'' looking for beginning of value"),
        (b"\xcf<", "invalid character 'Ï' looking for beginning of value"),
        (b"{a", "invalid character 'a' looking for beginning of object key string"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
        (b'{"a":[1 2]}', "invalid character '2' after array element"),
        (b'{"a":"]" 2}', "invalid character '2' after object key:value pair"),
        (b"{} x", "invalid character 'x' after top-level value"),
        (b'"a\nb"', "invalid character '\\n' in string literal"),
        (b'"\\q"', "invalid character 'q' in string escape code"),
    ],
)
def test_broken_json_is_described_as_go_does(text: bytes, words: str) -> None:
    assert gojson.complaint(text) == words


@given(st.binary(max_size=40))
def test_any_bytes_have_a_sentence(text: bytes) -> None:
    assert gojson.complaint(text)


def test_values_have_gos_names() -> None:
    kinds = [gojson.kind(value) for value in ({}, [], "", True, 1, 1.5, None)]
    assert kinds == ["object", "array", "string", "bool", "number", "number", "null"]
