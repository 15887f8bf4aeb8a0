"""How long to wait before trying again: 10 s, doubled at each try, at most 300 s, forgotten after twice that in peace.

The arithmetic of client-go's flowcontrol.Backoff as the kubelet uses it for crashing containers and failing pulls.
"""

from __future__ import annotations

from dataclasses import dataclass

INITIAL = 10.0
MAXIMUM = 300.0
FORGOTTEN = 2 * MAXIMUM
"""A container that ran this long since its last start begins again with no delay."""


@dataclass(frozen=True)
class Backoff:
    """The delay that holds since `updated`."""

    delay: float
    updated: float


def following(last: Backoff | None, event: float, now: float) -> Backoff:
    """What holds after one more try at `now`, made because of something that happened at `event`."""
    if last is None or event - last.updated > FORGOTTEN:
        return Backoff(INITIAL, now)
    return Backoff(min(last.delay * 2, MAXIMUM), now)


def until(last: Backoff | None, event: float) -> float:
    """When the next try may be made after the failure at `event`; in the past when at once."""
    if last is None or event - last.updated > FORGOTTEN:
        return event
    return event + last.delay


def spelled(seconds: float) -> str:
    """A duration as Go prints it: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
