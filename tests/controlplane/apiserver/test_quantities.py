"""Quantities in canonical form."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.apiserver.quantities import canonical
from panal.quantity import QuantityError, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5", "500m"), ("1000m", "1"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("1e3", "1e3"), ("1000", "1k"),
        ("1500", "1500"), ("0", "0"), ("-1", "-1"), ("100Ki", "100Ki"), ("1Ki", "1Ki"), ("0.5Ki", "512"),
        ("3E", "3E"), ("0.000000001", "1n"), ("1025Mi", "1025Mi"), ("12e6", "12e6"), ("5Gi", "5Gi"),
    ],
)  # fmt: skip
def test_a_quantity_is_written_as_kubernetes_writes_it(text: str, expected: str) -> None:
    assert canonical(text) == expected


@given(
    st.decimals(min_value=Decimal(-(10**6)), max_value=Decimal(10**6), places=3),
    st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi"]),
)
def test_the_canonical_form_has_the_same_value_and_is_its_own(number: Decimal, suffix: str) -> None:
    text = f"{number:f}{suffix}"
    written = canonical(text)
    assert parse(written) == parse(text)
    assert canonical(written) == written


def test_what_is_no_quantity_is_refused() -> None:
    with pytest.raises(QuantityError, match="quantities must match the regular expression"):
        canonical("abc")
