"""Profiles: schedulers of different names and habits in one process, as pods' `schedulerName` asks for them. Pure.

The steps of a pod through a profile are tuples of plugins: filters, scores, permits. What all profiles share (the order
of the queue, the cache in which a place is reserved, the volumes) is not configurable, as upstream's queue is not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .plugins import FILTERS, SCORES
from .plugins.contract import Filter, Score
from .snapshot import PodInfo

NAME = "default-scheduler"


@dataclass(frozen=True, slots=True)
class Permit:
    """The last word before a pod is bound, its place being reserved: it may take its time.

    Answers None, or why the pod must not go there.
    """

    name: str
    ask: Callable[[PodInfo, str], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Profile:
    name: str = NAME
    filters: tuple[Filter, ...] = FILTERS
    scores: tuple[Score, ...] = SCORES
    permits: tuple[Permit, ...] = ()


DEFAULT = (Profile(),)
