"""Profiles: schedulers of different names and habits in one process, as pods' `schedulerName` asks for them. Pure.

Every step of a pod through a profile is a tuple of plugins, which another tuple may replace. The queue is one for all,
so its order is that of the first profile, and `configuration` refuses profiles of different orders, as upstream does.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import steps
from .plugins import FILTERS, SCORES
from .plugins.contract import Filter, Score

NAME = "default-scheduler"


@dataclass(frozen=True, slots=True)
class Profile:
    name: str = NAME
    filters: tuple[Filter, ...] = FILTERS
    scores: tuple[Score, ...] = SCORES
    queue_sort: tuple[steps.QueueSort, ...] = steps.QUEUE_SORT
    """Exactly one."""
    post_filters: tuple[steps.PostFilter, ...] = steps.POST_FILTERS
    reserves: tuple[steps.Reserve, ...] = steps.RESERVES
    permits: tuple[steps.Permit, ...] = steps.PERMITS
    pre_binds: tuple[steps.PreBind, ...] = steps.PRE_BINDS
    binds: tuple[steps.Bind, ...] = steps.BINDS
    """At least one."""


DEFAULT = (Profile(),)
