"""Cron schedules: the five fields, their names and the @ words. Pure.

Format: https://en.wikipedia.org/wiki/Cron, as kube-controller-manager reads it. A day must match the day of the month
or the day of the week if both are restricted, and both otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

MONTHS = {name: number for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
DAYS = {name: number for number, name in enumerate("sun mon tue wed thu fri sat".split())}
WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
HORIZON = 366 * 8
"""Days to look ahead: a 29 February comes within eight years."""


@dataclass(frozen=True)
class Schedule:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    any_day: bool
    any_weekday: bool

    def fits(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        month_day, week_day = day.day in self.days, (day.weekday() + 1) % 7 in self.weekdays
        return (month_day and week_day) if self.any_day or self.any_weekday else (month_day or week_day)


def parse(text: str) -> Schedule:
    """Raises ValueError for what is no schedule."""
    fields = WORDS.get(text.strip(), text).split()
    if len(fields) != 5:
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{text}]")
    minutes, hours, days, months, weekdays = fields
    return Schedule(
        minutes=_field(minutes, 0, 59),
        hours=_field(hours, 0, 23),
        days=_field(days, 1, 31),
        months=_field(months, 1, 12, MONTHS),
        weekdays=frozenset(number % 7 for number in _field(weekdays, 0, 7, DAYS)),
        any_day=days.startswith(("*", "?")),
        any_weekday=weekdays.startswith(("*", "?")),
    )


def _field(text: str, low: int, high: int, names: Mapping[str, int] | None = None) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = _number(step_text, 1, high, {}) if slash else 1
        if span in ("*", "?"):
            first, last = low, high
        else:
            start, dash, end = span.partition("-")
            first = _number(start, low, high, names or {})
            last = _number(end, low, high, names or {}) if dash else (high if slash else first)
        if first > last:
            raise ValueError(f"beginning of range ({first}) beyond end of range ({last}): {part}")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _number(text: str, low: int, high: int, names: Mapping[str, int]) -> int:
    value = names.get(text.lower())
    if value is None:
        if not text.isdecimal():
            raise ValueError(f"failed to parse int from {text}")
        value = int(text)
    if not low <= value <= high:
        raise ValueError(f"{value} is not between {low} and {high}")
    return value


def following(schedule: Schedule, after: float, zone: tzinfo = UTC) -> float | None:
    """The first time later than `after` (seconds since the epoch); None if there is none in years."""
    start = datetime.fromtimestamp(after, zone)
    day = start.date()
    for _ in range(HORIZON):
        if schedule.fits(day):
            for hour in sorted(schedule.hours):
                for minute in sorted(schedule.minutes):
                    moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).timestamp()
                    if moment > after and _exists(moment, hour, minute, zone):
                        return moment
        day += timedelta(days=1)
    return None


def _exists(moment: float, hour: int, minute: int, zone: tzinfo) -> bool:
    """An hour that the change to summer time leaves out does not come."""
    back = datetime.fromtimestamp(moment, zone)
    return (back.hour, back.minute) == (hour, minute)


def latest(schedule: Schedule, after: float, now: float, zone: tzinfo = UTC) -> float | None:
    """The last time due in (after, now]; None if there is none."""
    found = following(schedule, after, zone)
    if found is None or found > now:
        return None
    span = 60.0
    while span < now - after:
        recent = following(schedule, now - span, zone)
        if recent is not None and recent <= now:
            found = recent
            break
        span *= 2
    while (more := following(schedule, found, zone)) is not None and more <= now:
        found = more
    return found
