"""Is a node's port up? The state of one checked target. Pure: times are arguments.

A first answer counts at once. Later it takes RISE good answers or FALL bad ones to change one's mind, and while it is
being changed the target is asked more often. A connection of a client that failed counts like FALL bad ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

RISE, FALL = 2, 2
INTERVAL = 2.0
"""Seconds between checks."""
FAST_INTERVAL = 0.5
"""Seconds between checks while the answers contradict what is believed."""


@dataclass(frozen=True)
class Health:
    """`up` is None before the first answer, and is taken for up then."""

    up: bool | None = None
    against: int = 0
    """Answers in a row that contradict `up`."""

    @property
    def usable(self) -> bool:
        return self.up is not False

    @property
    def interval(self) -> float:
        return FAST_INTERVAL if self.against else INTERVAL

    def observed(self, answered: bool) -> Health:
        if self.up is None:
            return Health(answered)
        if answered == self.up:
            return replace(self, against=0)
        if self.against + 1 >= (RISE if answered else FALL):
            return Health(answered)
        return replace(self, against=self.against + 1)

    def failed(self) -> Health:
        """A client could not be connected."""
        return self if self.up is False else Health(False)
