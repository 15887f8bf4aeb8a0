"""What a filter and a score are. Both are functions that look at the pod once and return a function of a node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..snapshot import NodeInfo, PodInfo, Snapshot


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a node is out. `final`: evicting pods from it would not help."""

    reasons: tuple[str, ...]
    final: bool = False
    whole: bool = False
    """Said of the pod, not of a node: it is not counted."""


@dataclass(frozen=True, slots=True)
class Everywhere:
    """A check that refuses every node before any is looked at."""

    refusal: Refusal

    def __call__(self, info: NodeInfo) -> Refusal | None:
        return self.refusal


Check = Callable[[NodeInfo], Refusal | None]
FilterFactory = Callable[[PodInfo, Snapshot], Check | None]
"""None when the pod gives the filter nothing to check."""
ScoreFactory = Callable[[PodInfo, Snapshot, Sequence[NodeInfo]], Sequence[float] | None]
"""Scores of the feasible nodes, in order, each 0..100; None when the pod gives the plugin no opinion."""


@dataclass(frozen=True, slots=True)
class Filter:
    name: str
    prepare: FilterFactory
    wakes: frozenset[str]
    """Events (of `queue.EVENTS`) that may let in a pod this filter has refused."""


@dataclass(frozen=True, slots=True)
class Score:
    name: str
    prepare: ScoreFactory
    weight: int


def normalized(raw: Sequence[float], *, reverse: bool = False) -> list[float]:
    """Raw scores scaled so that the highest is 100; with `reverse`, the lowest is best."""
    most = max(raw, default=0)
    if most == 0:
        return [100.0 if reverse else 0.0] * len(raw)
    scaled = [100.0 * value / most for value in raw]
    return [100.0 - value for value in scaled] if reverse else scaled
