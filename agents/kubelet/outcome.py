"""How a probe or a hook went."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """`output` goes into an event, in upstream's words."""

    success: bool
    output: str
    errored: bool = False
    """Nothing was learnt about the program: a probe tells it and counts it as nothing, a hook has failed."""
    warning: bool = False
    """A success that is worth an event."""
