"""What a filter and a score are. Both are functions that look at the pod once and return what looks at nodes.

A score that needs to know only the node itself is an `Alone`. One that compares nodes is an `Opinion`: it says what it
sees of each node, and judges what was seen, so that nodes that look alike are judged once and a node is looked at
again only when it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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

Seen = Sequence[tuple[Any, int]]
"""What was seen of feasible nodes, each with how many of them look so."""


class Opinion(Protocol):
    """A score that compares nodes."""

    def look(self, info: NodeInfo) -> Hashable:
        """What matters of the node. Called for every node, feasible or not, and again whenever it has changed."""

    def forget(self, name: str) -> None:
        """The node is gone."""

    def judge(self, seen: Seen) -> Sequence[float] | None:
        """A score of 0..100 for each; None if they are all the same to it."""


class Stateless:
    """An opinion that keeps nothing of the nodes it has seen."""

    def forget(self, name: str) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Alone:
    """A score of 0..100 that depends on no other node."""

    score: Callable[[NodeInfo], float]


ScoreFactory = Callable[[PodInfo, Snapshot], Alone | Opinion | None]
"""None when the pod gives the plugin no opinion."""


@dataclass(frozen=True, slots=True)
class Filter:
    name: str
    prepare: FilterFactory
    wakes: frozenset[str]
    """Events (of `queue.EVENTS`) that may let in a pod this filter has refused."""
    local: bool = True
    """A node's answer changes only when the node does."""


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
