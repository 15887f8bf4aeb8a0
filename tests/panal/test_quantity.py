"""Quantities as Kubernetes reads and prints them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal import quantity


@pytest.mark.parametrize(
    ("text", "expected"),
    [("100m", 100), ("1", 1000), ("1.5", 1500), ("0.0001", 1), ("2k", 2_000_000), ("1e3", 1_000_000), ("5u", 1)],
)
def test_cpu_is_counted_in_thousandths_rounded_up(text: str, expected: int) -> None:
    assert quantity.milli(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10Gi", 10 * 2**30),
        ("1.5Ki", 1536),
        ("128974848", 128974848),
        ("129e6", 129_000_000),
        ("129M", 129_000_000),
        (".5", 1),
    ],
)
def test_memory_is_counted_in_bytes(text: str, expected: int) -> None:
    assert quantity.whole(text) == expected


@pytest.mark.parametrize("text", ["", "1 Gi", "Gi", "1Q", "--1", "1e", "0x10", "1.2.3", "9" * 40, "1e9999"])
def test_what_is_no_quantity_is_refused_in_kubernetes_words(text: str) -> None:
    with pytest.raises(quantity.QuantityError, match="quantities must match the regular expression"):
        quantity.parse(text)


@given(st.integers(0, 2**62))
def test_printed_bytes_read_back_the_same(value: int) -> None:
    assert quantity.whole(quantity.format_binary(value)) == value


@given(st.integers(0, 10**9))
def test_printed_thousandths_read_back_the_same(value: int) -> None:
    assert quantity.milli(quantity.format_milli(value)) == value
