"""Selectors: what they match, what they say of text that is none, and that printing and parsing agree."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal.errors import BadRequest
from panal.selectors import Requirement, from_label_selector, parse_fields, parse_labels

WEB = {"app": "web", "tier": "front", "weight": "5"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app!=web", False),
        ("other!=web", True),
        ("app in (db, web)", True),
        ("app in (db)", False),
        ("app notin (db)", True),
        ("other notin (db)", True),
        ("app", True),
        ("!app", False),
        ("!other", True),
        ("weight>4", True),
        ("weight<5", False),
        ("app>1", False),
        ("app=web,tier in (front,back),!old", True),
        ("app=web,tier=back", False),
        ("other=", False),
        ("in in (in)", False),
        (" app = web ", True),
    ],
)
def test_a_label_selector_matches_what_kubernetes_would(text: str, matches: bool) -> None:
    assert parse_labels(text).matches(WEB) is matches


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b c", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("a>b", "values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer"),
    ],
)
def test_what_is_no_selector_is_refused_in_kubernetes_words(text: str, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_labels(text)
    assert words in caught.value.message


def test_no_label_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not from_label_selector(None).matches(WEB)
    assert from_label_selector({}).matches(WEB)
    assert from_label_selector({}).empty


def test_a_label_selector_object_joins_labels_and_expressions() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["front", "back"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "weight", "operator": "Exists"},
        {"key": "app", "operator": "NotIn", "values": ["db"]},
    ]
    selector = from_label_selector({"matchLabels": {"app": "web"}, "matchExpressions": expressions})
    assert selector.matches(WEB)
    assert not selector.matches({**WEB, "old": ""})
    assert not selector.matches({**WEB, "app": "db"})
    with pytest.raises(BadRequest, match='"Near" is not a valid label selector operator'):
        from_label_selector({"matchExpressions": [{"key": "a", "operator": "Near"}]})


def test_field_selectors_compare_with_equal_and_not_equal() -> None:
    fields = {"spec.nodeName": "n1", "status.phase": "Running", "odd": "a,b=c\\"}
    assert parse_fields("spec.nodeName=n1,status.phase!=Failed").matches(fields)
    assert parse_fields("spec.nodeName==n1").required("spec.nodeName") == "n1"
    assert not parse_fields("spec.nodeName!=n1").matches(fields)
    assert parse_fields("missing=").matches(fields)
    assert parse_fields("odd=a\\,b\\=c\\\\").matches(fields)
    with pytest.raises(BadRequest, match="invalid selector: 'x'; can't understand 'x'"):
        parse_fields("x")
    with pytest.raises(BadRequest, match="invalid escape sequence"):
        parse_fields("a=\\x")


NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,5}[a-z0-9])?", fullmatch=True).filter(
    lambda name: name not in ("in", "notin")
)
REQUIREMENTS = st.one_of(
    st.builds(lambda key, value: Requirement(key, "=", (value,)), NAMES, NAMES),
    st.builds(lambda key, value: Requirement(key, "!=", (value,)), NAMES, NAMES),
    st.builds(lambda key: Requirement(key, "exists"), NAMES),
    st.builds(lambda key: Requirement(key, "!"), NAMES),
    st.builds(lambda key, values: Requirement(key, "in", tuple(sorted(values))), NAMES, st.sets(NAMES, min_size=1)),
    st.builds(lambda key, values: Requirement(key, "notin", tuple(sorted(values))), NAMES, st.sets(NAMES, min_size=1)),
    st.builds(lambda key, value: Requirement(key, "gt", (str(value),)), NAMES, st.integers(0, 2**31)),
)


@given(st.lists(REQUIREMENTS, max_size=5), st.dictionaries(NAMES, NAMES, max_size=4))
def test_a_printed_selector_parses_to_the_same_one(requirements: list[Requirement], labels: dict[str, str]) -> None:
    text = ",".join(str(requirement) for requirement in requirements)
    parsed = parse_labels(text)
    assert sorted(parsed.requirements, key=str) == sorted(requirements, key=str)
    assert parsed.matches(labels) is all(requirement.matches(labels) for requirement in requirements)


@given(st.text(max_size=30))
def test_any_text_is_a_selector_or_a_bad_request(text: str) -> None:
    for parse in (parse_labels, parse_fields):
        with contextlib.suppress(BadRequest):
            assert parse(text).matches({"a": "b"}) in (True, False)
