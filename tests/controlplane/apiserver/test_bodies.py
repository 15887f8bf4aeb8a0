"""Bodies: JSON and YAML as the API reads them, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.apiserver import bodies
from panal.errors import BadRequest, UnsupportedMediaType


def refused(body: bytes, media: str = "application/json") -> str:
    with pytest.raises(BadRequest) as caught:
        bodies.decode(body, media, "Pod")
    return caught.value.message.removeprefix("the object provided is unrecognized (must be of type Pod): ")


def test_json_and_yaml_say_the_same() -> None:
    assert bodies.decode(b'{"a": [1, "x"]}', "application/json", "Pod") == {"a": [1, "x"]}
    assert bodies.decode(b"a:\n- 1\n- x\n", "application/yaml", "Pod") == {"a": [1, "x"]}


def test_yaml_dates_stay_text_and_keys_become_text() -> None:
    read = bodies.decode(b"a: 2026-01-31\n2: b\nyes: c\n", "application/yaml", "Pod")
    assert read == {"a": "2026-01-31", "2": "b", "true": "c"}


def test_what_is_no_object_is_refused_with_its_beginning() -> None:
    assert refused(b"{") == "couldn't get version/kind; json parse error: unexpected end of JSON input ({)"
    assert refused(b"[]") == (
        "couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type "
        "struct { APIVersion string; Kind string } ([])"
    )
    assert refused(b"a: [", "application/yaml") == "yaml: line 1: did not find expected node content (613a205b)"


def test_another_media_type_is_not_supported() -> None:
    with pytest.raises(UnsupportedMediaType, match="accepted media types include: application/json, application/yaml"):
        bodies.decode(b"x", "text/plain", "Pod")


def test_a_small_text_cannot_become_a_huge_object() -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9)]
    assert "too many values" in refused("\n".join(lines).encode(), "application/yaml")


@pytest.mark.parametrize("media", ["application/json", "application/yaml"])
def test_a_deep_text_is_refused(media: str) -> None:
    with pytest.raises(BadRequest):
        bodies.decode(b"[" * 5000, media, "Pod")
    with pytest.raises(BadRequest):
        bodies.decode(b"a:\n" + b"".join(b" " * depth + b"-\n" for depth in range(1200)), "application/yaml", "Pod")


@given(st.binary(max_size=200), st.sampled_from(["application/json", "application/yaml"]))
def test_any_body_is_an_object_or_a_bad_request(body: bytes, media: str) -> None:
    try:
        assert isinstance(bodies.decode(body, media, "Pod"), dict)
    except BadRequest:
        pass
