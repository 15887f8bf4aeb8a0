"""Formats of names: what is good, and the words for what is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from panal import formats

Check = Callable[[str], list[str]]


@pytest.mark.parametrize(
    ("check", "good", "wrong"),
    [
        (formats.label_name, ["a", "a-1", "1"], ["", "-a", "A", "a.b", "a" * 64, "a\n"]),
        (formats.subdomain_name, ["a.b-c.1"], ["", ".a", "a..b", "a_b", "a" * 254, "ñ"]),
        (formats.label_name_1035, ["a1"], ["1a", "a-"]),
        (formats.wildcard_subdomain, ["*.a.b"], ["*", "a.b", "*.*.a"]),
        (formats.qualified_name, ["a", "A_b.c", "x.y/Z"], ["", "/a", "x/", "a/b/c", "X/a", "a b"]),
        (formats.label_value, ["", "a", "A_1"], ["-", "a b", "a" * 64, "ü"]),
        (formats.port_name, ["http", "a1-b"], ["", "80", "a--b", "-a", "A", "a" * 16]),
        (formats.environment_name, ["A", "1a b", "a.b"], ["", "a=b", "é"]),
        (formats.config_key, ["a", "A.b_c-d", ".x"], ["", ".", "..", "..x", "a/b"]),
        (formats.header_name, ["X-A"], ["", "a b"]),
        (formats.c_identifier, ["_a1"], ["1a", "a-b"]),
        (formats.ip_address, ["10.0.0.1", "::1"], ["x", "10.0.0.256", "01.2.3.4"]),
        (formats.cidr, ["10.0.0.0/8", "fd00::/8"], ["10.0.0.1", "10.0.0.0/33", "x/8"]),
    ],
)
def test_good_values_pass_and_others_get_a_complaint(check: Check, good: list[str], wrong: list[str]) -> None:
    assert [value for value in good if check(value)] == []
    assert [value for value in wrong if not check(value)] == []


def test_the_words_are_kubernetes() -> None:
    assert formats.label_name("a.b") == ["must not contain dots"]
    assert formats.label_value("x" * 64) == ["must be no more than 63 bytes"]
    assert formats.port_number(0) == ["must be between 1 and 65535, inclusive"]
    assert formats.regex_error("w", "p", "a", "b") == "w (e.g. 'a',  or 'b', regex used for validation is 'p')"
