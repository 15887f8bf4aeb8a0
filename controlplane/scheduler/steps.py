"""A pod's way through a profile besides filters and scores: each step is a tuple of plugins, asked in its order. Pure.

    queue (QueueSort) -> filters, scores -> Reserve -> Permit -> PreBind -> Bind
                         no node: PostFilter

Names and steps are those of https://kubernetes.io/docs/concepts/scheduling-eviction/scheduling-framework/. What a
plugin needs of the running scheduler comes as its `Handle`; it keeps nothing itself, so tuples can be exchanged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .binder import Binder
from .decide import Refused
from .plugins.contract import Filter
from .preempt import Preemption, is_under_way, preempt
from .snapshot import Object, PodInfo, Snapshot


class Rejected(Exception):
    """A plugin does not let the pod go to the node now; the message is for a person. It is tried again later."""


class Volumes(Protocol):
    """Who gives a pod's claims their volumes."""

    def reserve(self, pod: PodInfo, node: Object, snapshot: Snapshot) -> None: ...
    def unreserve(self, pod: PodInfo) -> None: ...
    async def bind(self, pod: PodInfo) -> None: ...


@dataclass(frozen=True, slots=True)
class Handle:
    """The scheduler as its plugins see it."""

    binder: Binder
    volumes: Volumes
    snapshot: Callable[[], Snapshot]


@dataclass(frozen=True, slots=True)
class QueueSort:
    """The order in which pods are tried: the least key first. One for all profiles, as there is one queue."""

    name: str
    key: Callable[[PodInfo, float], tuple[Any, ...]]
    """Of a pod and the moment it was first seen."""


@dataclass(frozen=True, slots=True)
class PostFilter:
    """Where no node takes a pod: how room could be made. The first that knows is followed."""

    name: str
    free: Callable[[PodInfo, Snapshot, Refused, Sequence[Filter]], Preemption | None]


@dataclass(frozen=True, slots=True)
class Reserve:
    """Keeps for the pod what it will need on the node it was given, before the next pod is decided on.

    Raises Rejected. `undo` follows if the pod does not get there after all, whether or not `keep` was reached.
    """

    name: str
    keep: Callable[[Handle, PodInfo, Object], None]
    undo: Callable[[Handle, PodInfo], None]


@dataclass(frozen=True, slots=True)
class Permit:
    """The last word before a pod is bound, its place being reserved: it may take its time.

    Answers None, or why the pod must not go there.
    """

    name: str
    ask: Callable[[PodInfo, str], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class PreBind:
    """What has to be done for the pod before it is bound. Raises Rejected, StatusError, Unreachable."""

    name: str
    ready: Callable[[Handle, PodInfo, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Bind:
    """Writes that the pod is on the node. False leaves it to the next. Raises as PreBind does."""

    name: str
    write: Callable[[Handle, PodInfo, str], Awaitable[bool]]


def by_priority(pod: PodInfo, since: float) -> tuple[int, float]:
    """The most important first; of these, who has waited longest."""
    return -pod.priority, since


def _evict(pod: PodInfo, snapshot: Snapshot, refused: Refused, filters: Sequence[Filter]) -> Preemption | None:
    return None if is_under_way(pod, snapshot) else preempt(pod, snapshot, refused, filters)


def _keep_volumes(handle: Handle, pod: PodInfo, node: Object) -> None:
    if (pod.obj.get("spec") or {}).get("volumes"):
        handle.volumes.reserve(pod, node, handle.snapshot())


def _drop_volumes(handle: Handle, pod: PodInfo) -> None:
    handle.volumes.unreserve(pod)


async def _bind_volumes(handle: Handle, pod: PodInfo, node: str) -> None:
    await handle.volumes.bind(pod)


async def _bind(handle: Handle, pod: PodInfo, node: str) -> bool:
    await handle.binder.bind(pod, node)
    return True


QUEUE_SORT = (QueueSort("PrioritySort", by_priority),)
POST_FILTERS = (PostFilter("DefaultPreemption", _evict),)
RESERVES = (Reserve("VolumeBinding", _keep_volumes, _drop_volumes),)
PERMITS: tuple[Permit, ...] = ()
PRE_BINDS = (PreBind("VolumeBinding", _bind_volumes),)
BINDS = (Bind("DefaultBinder", _bind),)
