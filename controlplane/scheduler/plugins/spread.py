"""PodTopologySpread: a pod's own constraints, and, without any, the replicas of one owner spread over nodes and zones.

https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from panal.selectors import LabelSelector, from_label_selector

from ..matching import affinity_matches, untolerated
from ..snapshot import NodeInfo, PodInfo, Snapshot
from .contract import Check, Refusal, Seen
from .domains import HOSTNAME, Domains

ZONE = "topology.kubernetes.io/zone"
DEFAULTS = ((HOSTNAME, 3), (ZONE, 5))
"""(topology key, maxSkew) for pods without constraints of their own: soft, so scores only."""


@dataclass(frozen=True)
class Constraint:
    key: str
    skew: int
    selector: LabelSelector
    min_domains: int
    honour_affinity: bool
    honour_taints: bool


def constraints(pod: PodInfo, action: str) -> list[Constraint]:
    found: list[dict[str, Any]] = (pod.obj.get("spec") or {}).get("topologySpreadConstraints") or []
    return [_constraint(pod, item) for item in found if item.get("whenUnsatisfiable") == action]


def _constraint(pod: PodInfo, item: dict[str, Any]) -> Constraint:
    selector = dict(item.get("labelSelector") or {})
    exact = {key: pod.labels[key] for key in item.get("matchLabelKeys") or () if key in pod.labels}
    if exact:
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), **exact}
    return Constraint(
        key=item["topologyKey"],
        skew=int(item.get("maxSkew") or 1),
        selector=from_label_selector(selector),
        min_domains=int(item.get("minDomains") or 1),
        honour_affinity=item.get("nodeAffinityPolicy", "Honor") == "Honor",
        honour_taints=item.get("nodeTaintsPolicy", "Ignore") == "Honor",
    )


def _count(pod: PodInfo, constraint: Constraint, info: NodeInfo, keys: Sequence[str]) -> int | None:
    """Matching pods of the node; None for a node that the pod could not use at all."""
    if any(key not in info.labels for key in keys):
        return None
    if constraint.honour_affinity and not affinity_matches(pod.obj, info.node):
        return None
    tolerations = (pod.obj.get("spec") or {}).get("tolerations") or ()
    if constraint.honour_taints and untolerated(info.taints, tolerations, ("NoSchedule", "NoExecute")):
        return None
    return sum(
        other.namespace == pod.namespace and not other.deleting and constraint.selector.matches(other.labels)
        for other in info.pods.values()
    )


def _counts(pod: PodInfo, constraint: Constraint, nodes: Iterable[NodeInfo], keys: Sequence[str]) -> Counter[str]:
    """Matching pods by domain, over the nodes that the pod could use at all."""
    found: Counter[str] = Counter()
    for info in nodes:
        here = _count(pod, constraint, info, keys)
        if here is not None:
            found[info.labels[constraint.key]] += here
    return found


def spread_fits(pod: PodInfo, snapshot: Snapshot) -> Check | None:
    hard = constraints(pod, "DoNotSchedule")
    if not hard:
        return None
    keys = [item.key for item in hard]
    counts = [_counts(pod, item, snapshot.nodes.values(), keys) for item in hard]
    unlabelled = Refusal(("node(s) didn't match pod topology spread constraints (missing required label)",), final=True)
    crowded = Refusal(("node(s) didn't match pod topology spread constraints",))

    def check(info: NodeInfo) -> Refusal | None:
        for constraint, found in zip(hard, counts, strict=True):
            domain = info.labels.get(constraint.key)
            if domain is None:
                return unlabelled
            least = min(found.values(), default=0) if len(found) >= constraint.min_domains else 0
            own = int(constraint.selector.matches(pod.labels))
            if found.get(domain, 0) + own - least > constraint.skew:
                return crowded
        return None

    return check


class Spread:
    """Domains with fewer of the pod's like are better."""

    def __init__(self, topologies: Sequence[tuple[Domains, int]]) -> None:
        self._topologies = topologies

    def look(self, info: NodeInfo) -> Hashable:
        return tuple([domains.look(info) for domains, _ in self._topologies])

    def forget(self, name: str) -> None:
        for domains, _ in self._topologies:
            domains.forget(name)

    def judge(self, seen: Seen) -> Sequence[float] | None:
        raw = [0.0] * len(seen)
        for which, (domains, skew) in enumerate(self._topologies):
            if domains.key == HOSTNAME:
                size = sum(number for parts, number in seen if parts[which] is not None)
            else:
                size = len({parts[which] for parts, _ in seen if parts[which] is not None})
            weight = math.log(size + 2)
            for index, (parts, _) in enumerate(seen):
                if parts[which] is not None:
                    raw[index] += domains.of(parts[which]) * weight + (skew - 1)
        return _turned(raw)


def spread_score(pod: PodInfo, snapshot: Snapshot) -> Spread | None:
    if (pod.obj.get("spec") or {}).get("topologySpreadConstraints"):
        soft = constraints(pod, "ScheduleAnyway")
        keys = [item.key for item in soft]
        return Spread([(_domains(pod, item, keys), item.skew) for item in soft]) if soft else None
    if not pod.owner:
        return None
    return Spread([(Domains(key, _siblings(pod)), skew) for key, skew in DEFAULTS])


def _domains(pod: PodInfo, constraint: Constraint, keys: Sequence[str]) -> Domains:
    return Domains(constraint.key, lambda info: _count(pod, constraint, info, keys))


def _siblings(pod: PodInfo) -> Callable[[NodeInfo], int]:
    owner = pod.owner

    def count(info: NodeInfo) -> int:
        return sum([other.owner == owner and not other.deleting for other in info.pods.values()])

    return count


def _turned(raw: Sequence[float]) -> Sequence[float]:
    """Many is worse: the least crowded gets 100."""
    most, least = max(raw), min(raw)
    if most == 0:
        return [100.0] * len(raw)
    return [100.0 * (most + least - value) / most for value in raw]
