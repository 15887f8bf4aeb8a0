"""Every plugin, in order: the filters that a node must pass, and the scores that choose among those that do."""

from __future__ import annotations

from . import fit, neighbours, nodes, spread, volumes
from .contract import Filter, Score

NODE_ADDED, NODE_CHANGED, POD_GONE, POD_PLACED = "node added", "node changed", "pod gone", "pod placed"
STORAGE_CHANGED = "storage changed"

_NODE = frozenset({NODE_ADDED, NODE_CHANGED})
_ROOM = _NODE | {POD_GONE}
_ANY = _ROOM | {POD_PLACED}

FILTERS: tuple[Filter, ...] = (
    Filter("NodeUnschedulable", nodes.unschedulable, _NODE),
    Filter("NodeName", nodes.node_name, _NODE),
    Filter("TaintToleration", nodes.taints, _NODE),
    Filter("NodeAffinity", nodes.affinity, _NODE),
    Filter("NodePorts", fit.ports_free, _ROOM),
    Filter("NodeResourcesFit", fit.resources_fit, _ROOM),
    Filter("VolumeBinding", volumes.volumes_fit, _NODE | {STORAGE_CHANGED}, local=False),
    Filter("PodTopologySpread", spread.spread_fits, _ANY, local=False),
    Filter("InterPodAffinity", neighbours.neighbours_fit, _ANY, local=False),
)
"""The first to refuse a node gives the reason. The third field says which events may change a filter's mind."""

SCORES: tuple[Score, ...] = (
    Score("TaintToleration", nodes.taint_score, 3),
    Score("NodeAffinity", nodes.affinity_score, 2),
    Score("NodeResourcesFit", fit.least_allocated, 1),
    Score("PodTopologySpread", spread.spread_score, 2),
    Score("InterPodAffinity", neighbours.neighbours_score, 2),
    Score("NodeResourcesBalancedAllocation", fit.balanced_allocation, 1),
    Score("ImageLocality", nodes.image_score, 1),
)
