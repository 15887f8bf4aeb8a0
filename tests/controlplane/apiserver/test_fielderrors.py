"""Complaints about fields read as Kubernetes' own."""

from __future__ import annotations

import pytest

from panal.controlplane.apiserver import fielderrors
from panal.controlplane.apiserver.fielderrors import FieldError, bad, duplicate, forbidden, invalid, required


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (required("spec.x"), "spec.x: Required value"),
        (required("spec.x", "why"), "spec.x: Required value: why"),
        (bad("spec.x", 'a"b\n', "why"), 'spec.x: Invalid value: "a\\"b\\n": why'),
        (bad("spec.x", 7, "why"), "spec.x: Invalid value: 7: why"),
        (bad("spec.x", {"b": 1, "a": None}, "why"), 'spec.x: Invalid value: {"a":null,"b":1}: why'),
        (fielderrors.not_supported("k", "X", ("A", "B")), 'k: Unsupported value: "X": supported values: "A", "B"'),
        (forbidden("k", "why"), "k: Forbidden: why"),
        (duplicate("k", "c"), 'k: Duplicate value: "c"'),
        (fielderrors.not_found("k", "v"), 'k: Not found: "v"'),
        (fielderrors.too_long("k", 63), "k: Too long: may not be more than 63 bytes"),
        (fielderrors.too_many("k", 4, 3), "k: Too many: 4: must have at most 3 items"),
        (FieldError("InternalError", "k", detail="full"), "k: Internal error: full"),
        (bad("", "x", "why"), 'Invalid value: "x": why'),
        (bad("k", fielderrors.Shown("[a]"), "why"), "k: Invalid value: [a]: why"),
    ],
)
def test_a_complaint_is_worded(error: FieldError, text: str) -> None:
    assert str(error) == text


def test_one_complaint_stands_alone_and_several_in_brackets_once_each() -> None:
    one = invalid("Pod", "", "web", [required("a")])
    assert one.message == 'Pod "web" is invalid: a: Required value'
    several = invalid("Deployment", "apps", "", [required("a"), required("b"), required("a")])
    assert several.message == 'Deployment.apps "" is invalid: [a: Required value, b: Required value]'
    assert several.code == 422
    assert several.details == {
        "group": "apps",
        "kind": "Deployment",
        "causes": [
            {"reason": "FieldValueRequired", "message": "Required value", "field": field} for field in ("a", "b", "a")
        ],
    }


def test_strings_are_quoted_as_go_quotes_them() -> None:
    assert fielderrors.go_quote("añb") == '"añb"'
    assert fielderrors.go_quote("a\x00\u200b\U000e0001") == '"a\\x00\\u200b\\U000e0001"'
