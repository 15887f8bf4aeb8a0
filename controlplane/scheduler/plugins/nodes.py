"""Filters and scores that look at the node alone: its name, cordon, taints, labels and images."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from ..matching import affinity_matches, pinned_node, term_matches, tolerates, untolerated
from ..snapshot import NodeInfo, Object, PodInfo, Snapshot
from .contract import Check, FilterFactory, Refusal, Seen, Stateless, normalized

UNSCHEDULABLE = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def _spec(pod: PodInfo) -> Object:
    return pod.obj.get("spec") or {}


def unschedulable(pod: PodInfo, snapshot: Snapshot) -> Check | None:
    tolerations = _spec(pod).get("tolerations") or ()
    if any(tolerates(item, UNSCHEDULABLE) for item in tolerations):
        return None
    refusal = Refusal(("node(s) were unschedulable",), final=True)
    return lambda info: refusal if (info.node.get("spec") or {}).get("unschedulable") else None


def node_name(pod: PodInfo, snapshot: Snapshot) -> Check | None:
    wanted = _spec(pod).get("nodeName")
    if not wanted:
        return None
    refusal = Refusal(("node(s) didn't match the requested node name",), final=True)
    return lambda info: None if info.name == wanted else refusal


def taints(pod: PodInfo, snapshot: Snapshot) -> Check | None:
    tolerations = _spec(pod).get("tolerations") or []
    refusal = Refusal(("node(s) had untolerated taint(s)",), final=True)

    def check(info: NodeInfo) -> Refusal | None:
        found = untolerated(info.taints, tolerations, ("NoSchedule", "NoExecute"))
        return refusal if found is not None else None

    return check


def affinity(pod: PodInfo, snapshot: Snapshot) -> Check | None:
    """nodeSelector and required node affinity. A pod pinned to one node by its name is refused by all others at
    once.
    """
    required = ((_spec(pod).get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if not _spec(pod).get("nodeSelector") and required is None:
        return None
    mismatch = Refusal(("node(s) didn't match Pod's node affinity/selector",), final=True)
    elsewhere = Refusal(("node(s) didn't satisfy plugin(s) [NodeAffinity]",), final=True)
    pinned = pinned_node(pod.obj)

    def check(info: NodeInfo) -> Refusal | None:
        if pinned is not None and info.name != pinned:
            return elsewhere
        return None if affinity_matches(pod.obj, info.node) else mismatch

    return check


def added_affinity(added: Mapping[str, Any]) -> FilterFactory:
    """NodeAffinity of a profile that demands something of every pod's nodes (its `addedAffinity`)."""
    terms = (added.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or ()
    enforced = Refusal(("node(s) didn't match scheduler-enforced node affinity",), final=True)

    def prepare(pod: PodInfo, snapshot: Snapshot) -> Check:
        own = affinity(pod, snapshot)

        def check(info: NodeInfo) -> Refusal | None:
            if terms and not any(term_matches(term, info.node) for term in terms):
                return enforced
            return own(info) if own is not None else None

        return check

    return prepare


class Counted(Stateless):
    """Nodes compared by a number of their own."""

    def __init__(self, count: Callable[[NodeInfo], int], *, reverse: bool = False) -> None:
        self.look = count
        self._reverse = reverse

    def judge(self, seen: Seen) -> Sequence[float] | None:
        raw = [value for value, _ in seen]
        return normalized(raw, reverse=self._reverse) if any(raw) else None


def taint_score(pod: PodInfo, snapshot: Snapshot) -> Counted:
    """Fewer untolerated PreferNoSchedule taints are better."""
    tolerations = [
        item for item in _spec(pod).get("tolerations") or () if item.get("effect") in (None, "", "PreferNoSchedule")
    ]

    def count(info: NodeInfo) -> int:
        return sum(
            taint.get("effect") == "PreferNoSchedule" and not any(tolerates(item, taint) for item in tolerations)
            for taint in info.taints
        )

    return Counted(count, reverse=True)


def affinity_score(pod: PodInfo, snapshot: Snapshot) -> Counted | None:
    """The sum of the weights of preferred terms that match."""
    preferred = ((_spec(pod).get("affinity") or {}).get("nodeAffinity") or {}).get(
        "preferredDuringSchedulingIgnoredDuringExecution"
    )
    if not preferred:
        return None

    def weigh(info: NodeInfo) -> int:
        return sum(
            int(item.get("weight") or 0)
            for item in preferred
            if not item.get("preference") or term_matches(item["preference"], info.node)
        )

    return Counted(weigh)


SMALL_IMAGE, LARGE_IMAGE = 23 << 20, 1000 << 20
"""Bytes per container between which having an image already counts more and more."""


class Images(Stateless):
    """Nodes that have the pod's images already, weighted by how many nodes do."""

    def __init__(self, wanted: Sequence[str]) -> None:
        self._wanted = wanted

    def look(self, info: NodeInfo) -> Hashable:
        """The size of each image there; 0 where it is missing."""
        if not (info.node.get("status") or {}).get("images"):
            return None
        here = _images(info)
        sizes = tuple(here.get(image, 0) for image in self._wanted)
        return sizes if any(sizes) else None

    def judge(self, seen: Seen) -> Sequence[float] | None:
        if not any(sizes for sizes, _ in seen):
            return None
        total = sum(number for _, number in seen)
        spread = [
            sum(number for sizes, number in seen if sizes and sizes[index]) / total
            for index in range(len(self._wanted))
        ]
        low, high = SMALL_IMAGE, LARGE_IMAGE * len(self._wanted)
        sums = [sum(size * part for size, part in zip(sizes or (), spread, strict=False)) for sizes, _ in seen]
        return [100.0 * (min(max(value, low), high) - low) / (high - low) for value in sums]


def image_score(pod: PodInfo, snapshot: Snapshot) -> Images | None:
    wanted = [_reference(item.get("image") or "") for item in _spec(pod).get("containers") or ()]
    return Images(wanted) if wanted else None


def _images(info: NodeInfo) -> dict[str, int]:
    images = (info.node.get("status") or {}).get("images") or ()
    return {name: int(item.get("sizeBytes") or 0) for item in images for name in item.get("names") or ()}


def _reference(image: str) -> str:
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"
