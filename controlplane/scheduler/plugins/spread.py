"""PodTopologySpread: a pod's own constraints, and, without any, the replicas of one owner spread over nodes and zones.

https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from panal.selectors import LabelSelector, from_label_selector

from ..matching import affinity_matches, untolerated
from ..snapshot import NodeInfo, PodInfo, Snapshot
from .contract import Check, Refusal

HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
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


def _counts(pod: PodInfo, constraint: Constraint, nodes: Iterable[NodeInfo], keys: Sequence[str]) -> Counter[str]:
    """Matching pods by domain, over the nodes that the pod could use at all."""
    tolerations = (pod.obj.get("spec") or {}).get("tolerations") or ()
    found: Counter[str] = Counter()
    for info in nodes:
        if any(key not in info.labels for key in keys):
            continue
        if constraint.honour_affinity and not affinity_matches(pod.obj, info.node):
            continue
        if constraint.honour_taints and untolerated(info.taints, tolerations, ("NoSchedule", "NoExecute")):
            continue
        found[info.labels[constraint.key]] += sum(
            other.namespace == pod.namespace and not other.deleting and constraint.selector.matches(other.labels)
            for other in info.pods.values()
        )
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


def spread_score(pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]) -> Sequence[float] | None:
    """Domains with fewer of the pod's like are better."""
    if (pod.obj.get("spec") or {}).get("topologySpreadConstraints"):
        soft = constraints(pod, "ScheduleAnyway")
        if not soft:
            return None
        raw = [0.0] * len(nodes)
        keys = [item.key for item in soft]
        for constraint in soft:
            counts = _counts(pod, constraint, snapshot.nodes.values(), keys)
            _weigh(raw, nodes, constraint.key, constraint.skew, counts)
        return _turned(raw)
    if not pod.owner:
        return None
    raw = [0.0] * len(nodes)
    for key, skew in DEFAULTS:
        if any(key in info.labels for info in nodes):
            _weigh(raw, nodes, key, skew, _siblings(pod, snapshot.nodes.values(), key))
    return _turned(raw)


def _siblings(pod: PodInfo, nodes: Iterable[NodeInfo], key: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for info in nodes:
        if (domain := info.labels.get(key)) is not None:
            found[domain] += sum(other.owner == pod.owner and not other.deleting for other in info.pods.values())
    return found


def _weigh(raw: list[float], nodes: Sequence[NodeInfo], key: str, skew: int, counts: Counter[str]) -> None:
    domains = {info.labels[key] for info in nodes if key in info.labels}
    weight = math.log(len(domains) + 2)
    for index, info in enumerate(nodes):
        if key in info.labels:
            raw[index] += counts[info.labels[key]] * weight + (skew - 1)


def _turned(raw: Sequence[float]) -> Sequence[float]:
    """Many is worse: the least crowded gets 100."""
    most, least = max(raw), min(raw)
    if most == 0:
        return [100.0] * len(raw)
    return [100.0 * (most + least - value) / most for value in raw]
