"""Filters and scores that look at the node alone: its name, cordon, taints, labels and images."""

from __future__ import annotations

from collections.abc import Sequence

from ..matching import affinity_matches, pinned_node, term_matches, tolerates, untolerated
from ..snapshot import NodeInfo, Object, PodInfo, Snapshot
from .contract import Check, Refusal, normalized

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


def taint_score(pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]) -> Sequence[float] | None:
    """Fewer untolerated PreferNoSchedule taints are better."""
    tolerations = [
        item for item in _spec(pod).get("tolerations") or () if item.get("effect") in (None, "", "PreferNoSchedule")
    ]
    counts = [
        sum(
            taint.get("effect") == "PreferNoSchedule" and not any(tolerates(item, taint) for item in tolerations)
            for taint in info.taints
        )
        for info in nodes
    ]
    return normalized(counts, reverse=True) if any(counts) else None


def affinity_score(pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]) -> Sequence[float] | None:
    """The sum of the weights of preferred terms that match."""
    preferred = ((_spec(pod).get("affinity") or {}).get("nodeAffinity") or {}).get(
        "preferredDuringSchedulingIgnoredDuringExecution"
    )
    if not preferred:
        return None
    return normalized(
        [
            sum(
                int(item.get("weight") or 0)
                for item in preferred
                if not item.get("preference") or term_matches(item["preference"], info.node)
            )
            for info in nodes
        ]
    )


SMALL_IMAGE, LARGE_IMAGE = 23 << 20, 1000 << 20
"""Bytes per container between which having an image already counts more and more."""


def image_score(pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]) -> Sequence[float] | None:
    """Nodes that have the pod's images already, weighted by how many nodes do."""
    wanted = [_reference(item.get("image") or "") for item in _spec(pod).get("containers") or ()]
    held = {info.name: _images(info) for info in nodes}
    if not wanted or not any(image in images for images in held.values() for image in wanted):
        return None
    spread = {image: sum(image in images for images in held.values()) / len(nodes) for image in wanted}
    low, high = SMALL_IMAGE, LARGE_IMAGE * len(wanted)
    sums = [sum(held[info.name].get(image, 0) * spread[image] for image in wanted) for info in nodes]
    return [100.0 * (min(max(total, low), high) - low) / (high - low) for total in sums]


def _images(info: NodeInfo) -> dict[str, int]:
    images = (info.node.get("status") or {}).get("images") or ()
    return {name: int(item.get("sizeBytes") or 0) for item in images for name in item.get("names") or ()}


def _reference(image: str) -> str:
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"
