"""Times and durations as text and as numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.apiserver.protobuf.moments import format_duration, format_time, parse_duration, parse_time


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1970-01-01T00:00:00Z", (0, 0)),
        ("2026-03-04T05:06:07Z", (1772600767, 0)),
        ("1969-12-31T23:59:59.500000Z", (-1, 500_000_000)),
        ("2026-03-04T07:06:07+02:00", (1772600767, 0)),
    ],
)
def test_times_count_from_1970(text: str, numbers: tuple[int, int]) -> None:
    assert parse_time(text) == numbers


@given(st.datetimes())
def test_a_time_survives(moment: object) -> None:
    text = f"{str(moment).replace(' ', 'T')[:19]}.000001Z"
    assert format_time(*parse_time(text), micro=True) == text


def test_a_time_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="year"):
        format_time(1 << 60, 0, micro=False)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0s", 0), ("1m0s", 60 * 10**9), ("1h0m1.5s", 3_601_500_000_000), ("-2s", -(2 * 10**9)), ("250ms", 250_000_000),
        ("1.5µs", 1500), ("7ns", 7), ("48h0m0s", 48 * 3600 * 10**9),
    ],
)  # fmt: skip
def test_durations_are_written_as_go_writes_them(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds
    assert format_duration(nanoseconds) == text


def test_a_duration_without_unit_is_none() -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration("15")
