"""The cluster as one scheduling decision sees it: nodes with the pods on them, all immutable. Pure.

A change makes a new `NodeInfo`; a `Snapshot` taken before is not touched by it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .resources import Amounts, amounts, host_ports, pod_requests

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PodInfo:
    """What the scheduler keeps of a pod."""

    uid: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    owner: str
    """uid of its controller, or ""."""
    priority: int
    requests: Amounts
    scored: Amounts
    """Requests with stand-ins for containers that ask for nothing."""
    ports: frozenset[tuple[str, str, int]]
    deleting: bool
    shy: bool
    """Has a required anti-affinity: it may be against pods that come later."""
    obj: Object
    """metadata and spec, for what the fields above leave out (affinity, tolerations, spreading)."""


def pod_info(pod: Object) -> PodInfo:
    meta, spec = pod["metadata"], pod.get("spec") or {}
    owner = next((item.get("uid", "") for item in meta.get("ownerReferences") or () if item.get("controller")), "")
    return PodInfo(
        uid=meta.get("uid") or "",
        namespace=meta.get("namespace") or "",
        name=meta["name"],
        labels=meta.get("labels") or {},
        owner=owner,
        priority=int(spec.get("priority") or 0),
        requests=pod_requests(pod),
        scored=pod_requests(pod, scoring=True),
        ports=host_ports(pod),
        deleting=bool(meta.get("deletionTimestamp")),
        shy=_is_shy(spec),
        obj=pod,
    )


def _is_shy(spec: Object) -> bool:
    against = (spec.get("affinity") or {}).get("podAntiAffinity") or {}
    return bool(against.get("requiredDuringSchedulingIgnoredDuringExecution"))


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node and what is committed on it."""

    name: str
    node: Object
    allocatable: Amounts
    pods: Mapping[str, PodInfo] = field(default_factory=dict)
    """By uid; assumed ones too."""
    requested: Amounts = field(default_factory=dict)
    scored: Amounts = field(default_factory=dict)

    @property
    def labels(self) -> Mapping[str, str]:
        return self.node["metadata"].get("labels") or {}

    @property
    def taints(self) -> list[Object]:
        return (self.node.get("spec") or {}).get("taints") or []

    def with_node(self, node: Object) -> NodeInfo:
        return replace(self, node=node, allocatable=allocatable_of(node))

    def with_pod(self, pod: PodInfo) -> NodeInfo:
        here = self.without_pod(pod.uid) if pod.uid in self.pods else self
        return NodeInfo(
            here.name,
            here.node,
            here.allocatable,
            {**here.pods, pod.uid: pod},
            _sum(here.requested, pod.requests, 1),
            _sum(here.scored, pod.scored, 1),
        )

    def without_pod(self, uid: str) -> NodeInfo:
        pod = self.pods.get(uid)
        if pod is None:
            return self
        return replace(
            self,
            pods={key: value for key, value in self.pods.items() if key != uid},
            requested=_sum(self.requested, pod.requests, -1),
            scored=_sum(self.scored, pod.scored, -1),
        )


def allocatable_of(node: Object) -> Amounts:
    status = node.get("status") or {}
    return amounts(status.get("allocatable") or status.get("capacity"))


def node_info(node: Object) -> NodeInfo:
    return NodeInfo(node["metadata"]["name"], node, allocatable_of(node))


def _sum(total: Mapping[str, int], part: Mapping[str, int], sign: int) -> Amounts:
    found = dict(total)
    for name, value in part.items():
        found[name] = found.get(name, 0) + sign * value
    return found


class Storage(Protocol):
    """Claims, volumes and classes as they are now."""

    def claim(self, namespace: str, name: str) -> Object | None: ...
    def volume(self, name: str) -> Object | None: ...
    def storage_class(self, name: str) -> Object | None: ...
    def volumes(self, storage_class: str) -> list[Object]:
        """The volumes of a class."""

    def kept_for(self, volume: str) -> str | None:
        """Uid of the claim that is about to get the volume."""


class Changes:
    """Which nodes changed, in order: who has looked at all nodes once looks again at these only."""

    MOST = 20_000
    """Names kept; who is further behind looks at everything again."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._dropped = 0
        self.epoch = 0
        """Counts changes that concern every node: what is known from before is worth nothing."""

    @property
    def clock(self) -> int:
        return self._dropped + len(self._names)

    def note(self, name: str) -> None:
        self._names.append(name)
        if len(self._names) > self.MOST:
            half = self.MOST // 2
            del self._names[:half]
            self._dropped += half

    def since(self, clock: int) -> Collection[str] | None:
        """Nodes that were added, changed or removed after `clock`; None if that is too long ago."""
        if clock < self._dropped:
            return None
        names = self._names[clock - self._dropped :]
        return names if len(names) < 2 else set(names)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All nodes that exist, by name, as they are until the next change of the `Cache` it comes from."""

    nodes: Mapping[str, NodeInfo]
    storage: Storage | None = None
    """None where nobody looks at claims."""
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Labels of each namespace."""
    budgets: Sequence[Object] = ()
    """PodDisruptionBudgets."""
    nominated: Mapping[str, Sequence[PodInfo]] = field(default_factory=dict)
    """node -> pods without a node for which room is being made there."""
    shy: Collection[str] | None = None
    """Nodes with a pod that has a required anti-affinity; None where nobody keeps count."""
    changes: Changes | None = None
    """None where nobody keeps count."""

    def __len__(self) -> int:
        return len(self.nodes)
