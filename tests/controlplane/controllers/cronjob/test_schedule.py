from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from panal.controlplane.controllers.cronjob.schedule import following, latest, parse


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("*/15 * * * *", "2023-11-14T22:15"),
        ("0 9-17/4 * * mon-fri", "2023-11-15T09:00"),
        ("30 4 1,15 * *", "2023-11-15T04:30"),
        ("0 0 13 * 5", "2023-11-17T00:00"),
        ("0 0 29 feb *", "2024-02-29T00:00"),
        ("@hourly", "2023-11-14T23:00"),
        ("0 0 * * 7", "2023-11-19T00:00"),
    ],
)
def test_the_next_time(schedule: str, expected: str) -> None:
    assert following(parse(schedule), at("2023-11-14T22:13:20")) == at(expected)


def test_a_time_that_never_comes() -> None:
    assert following(parse("0 0 31 2 *"), 0.0) is None


def test_times_are_those_of_the_zone_and_a_skipped_hour_is_skipped() -> None:
    madrid = ZoneInfo("Europe/Madrid")
    assert following(parse("0 9 * * *"), at("2023-07-01T00:00"), madrid) == at("2023-07-01T07:00")
    assert following(parse("30 2 * * *"), at("2024-03-30T12:00"), madrid) == at("2024-04-01T02:30", "Europe/Madrid")


def test_of_many_missed_times_the_last_counts() -> None:
    every_minute = parse("* * * * *")
    assert latest(every_minute, at("2020-01-01T00:00"), at("2023-11-14T22:13:20"), UTC) == at("2023-11-14T22:13")
    assert latest(every_minute, at("2023-11-14T22:13:01"), at("2023-11-14T22:13:20")) is None
    assert latest(parse("@daily"), at("2023-11-01T12:00"), at("2023-11-14T22:13:20")) == at("2023-11-14T00:00")


@pytest.mark.parametrize("text", ["", "* * * *", "60 * * * *", "x * * * *", "5-1 * * * *", "*/0 * * * *", "* * * * 8"])
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)
