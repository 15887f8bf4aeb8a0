"""The arithmetic of waiting."""

from __future__ import annotations

import pytest

from panal.agents.kubelet.backoff import Backoff, following, spelled, until


def test_delays_double_from_10_to_300_seconds() -> None:
    held, delays = None, []
    for _ in range(7):
        held = following(held, 0, 0)
        delays.append(held.delay)
    assert delays == [10, 20, 40, 80, 160, 300, 300]


def test_the_first_failure_waits_for_nothing_and_later_ones_for_what_holds() -> None:
    assert until(None, 100) == 100
    assert until(Backoff(40, 90), 100) == 140


def test_after_ten_quiet_minutes_all_is_forgotten() -> None:
    assert until(Backoff(300, 0), 601) == 601
    assert following(Backoff(300, 0), 601, 601) == Backoff(10, 601)
    assert until(Backoff(300, 0), 600) == 900


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (80, "1m20s"), (160, "2m40s"), (300, "5m0s")])
def test_durations_as_go_prints_them(seconds: float, text: str) -> None:
    assert spelled(seconds) == text
