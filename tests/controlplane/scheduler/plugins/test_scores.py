"""Each score, by the node it prefers."""

from __future__ import annotations

from typing import Any

from panal.controlplane.scheduler.decide import opinions
from panal.controlplane.scheduler.plugins import fit, neighbours, nodes, spread
from panal.controlplane.scheduler.plugins.contract import Score, normalized


def scores(plugin: Any, pod: Any, snapshot: Any) -> list[int] | None:
    found = list(opinions(pod, snapshot, list(snapshot.nodes.values()), [Score("it", plugin, 1)]))
    return [int(value) for value in found[0][1]] if found else None


def test_least_allocated_is_the_mean_of_what_stays_free(node: Any, pod: Any, snapshot: Any) -> None:
    cluster = snapshot(node("a", memory="10Gi"), node("b", pod("x", cpu="2", memory="5Gi"), memory="10Gi"))
    assert scores(fit.least_allocated, pod(cpu="1", memory="1Gi"), cluster) == [82, 32]


def test_balance_prefers_equal_shares(node: Any, pod: Any, snapshot: Any) -> None:
    cluster = snapshot(node("a", memory="4Gi"), node("b", pod("x", cpu="3"), memory="4Gi"))
    assert scores(fit.balanced_allocation, pod(cpu="1", memory="1Gi"), cluster) == [100, 62]
    assert scores(fit.balanced_allocation, pod(), cluster) is None


def test_a_preferred_taint_is_avoided(node: Any, pod: Any, snapshot: Any) -> None:
    cluster = snapshot(node("a", taints=["x=:PreferNoSchedule"]), node("b"))
    assert scores(nodes.taint_score, pod(), cluster) == [0, 100]
    assert scores(nodes.taint_score, pod(tolerations=[{"operator": "Exists"}]), cluster) is None


def test_preferred_node_affinity_adds_its_weights(node: Any, pod: Any, snapshot: Any) -> None:
    preference = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5, "preference": preference}]}
    cluster = snapshot(node("a"), node("b", labels={"disk": "ssd"}))
    assert scores(nodes.affinity_score, pod(affinity={"nodeAffinity": preferred}), cluster) == [0, 100]


def test_replicas_of_one_owner_count_against_a_node(node: Any, pod: Any, snapshot: Any) -> None:
    cluster = snapshot(node("a", pod("x", owner="rs"), pod("y", owner="rs")), node("b"))
    most, least = scores(spread.spread_score, pod("z", owner="rs"), cluster) or (0, 0)
    assert most < least
    assert scores(spread.spread_score, pod("lone"), cluster) is None


def test_a_preferred_neighbour_attracts_and_an_unwanted_one_repels(node: Any, pod: Any, snapshot: Any) -> None:
    term = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "kubernetes.io/hostname"}
    weighted = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 10, "podAffinityTerm": term}]}
    cluster = snapshot(node("a", pod("db", labels={"app": "db"})), node("b"))
    assert scores(neighbours.neighbours_score, pod(affinity={"podAffinity": weighted}), cluster) == [100, 0]
    assert scores(neighbours.neighbours_score, pod(affinity={"podAntiAffinity": weighted}), cluster) == [0, 100]


def test_a_node_that_has_the_image_is_better(node: Any, pod: Any, snapshot: Any) -> None:
    images = {"images": [{"names": ["i:latest"], "sizeBytes": 2 << 30}]}
    cluster = snapshot(node("a", status=images), node("b"))
    assert scores(nodes.image_score, pod(), cluster) == [100, 0]


def test_normalising_scales_to_a_hundred() -> None:
    assert normalized([1, 2]) == [50.0, 100.0]
    assert normalized([1, 2], reverse=True) == [50.0, 0.0]
    assert normalized([0, 0], reverse=True) == [100.0, 100.0]
