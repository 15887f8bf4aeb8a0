"""Ages as kubectl shows them, at every place where the unit changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.apiserver import ages

MINUTE, HOUR, DAY = 60, 3600, 86400
YEAR = 365 * DAY


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-2, "<invalid>"), (-1, "0s"), (0, "0s"), (0.9, "0s"), (119, "119s"),
        (2 * MINUTE, "2m"), (3 * MINUTE + 5, "3m5s"), (10 * MINUTE - 1, "9m59s"), (10 * MINUTE, "10m"),
        (3 * HOUR - 1, "179m"), (3 * HOUR, "3h"), (7 * HOUR + 59 * MINUTE, "7h59m"), (8 * HOUR, "8h"),
        (2 * DAY - 1, "47h"), (2 * DAY, "2d"), (2 * DAY + 3 * HOUR, "2d3h"), (8 * DAY - 1, "7d23h"), (8 * DAY, "8d"),
        (2 * YEAR - 1, "729d"), (2 * YEAR, "2y"), (2 * YEAR + 100 * DAY, "2y100d"), (8 * YEAR, "8y"),
    ],
)  # fmt: skip
def test_a_duration_has_two_units_at_most_and_fewer_as_it_grows(seconds: float, shown: str) -> None:
    assert ages.human(seconds) == shown


@given(st.floats(min_value=0, max_value=200 * YEAR))
def test_a_duration_is_short_enough_for_a_column(seconds: float) -> None:
    assert len(ages.human(seconds)) <= 7


def test_an_object_without_a_time_has_no_age() -> None:
    assert ages.of({"metadata": {}}, 0) == "<unknown>"
    assert ages.since("1970-01-01T00:00:10Z", 15) == "5s"
    assert ages.since("1970-01-01T00:00:10.5Z", 15) == "4s"
