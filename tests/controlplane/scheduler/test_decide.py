"""Stories of where pods go, and of what is said when they go nowhere."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

from panal.controlplane.scheduler.decide import Placed, Refused, message, schedule


def place(pod: Any, snapshot: Any, seed: int = 1) -> str:
    outcome = schedule(pod, snapshot, random.Random(seed))
    return outcome.node if isinstance(outcome, Placed) else message(outcome)


def test_a_pod_goes_to_the_emptier_node(node: Any, pod: Any, snapshot: Any) -> None:
    busy = node("busy", pod("other", cpu="3", memory="4Gi"))
    assert place(pod(cpu="500m"), snapshot(busy, node("idle"))) == "idle"


def test_equal_nodes_are_chosen_by_chance(node: Any, pod: Any, snapshot: Any) -> None:
    cluster = snapshot(node("a"), node("b"))
    assert {place(pod(), cluster, seed) for seed in range(20)} == {"a", "b"}


def test_replicas_spread_over_the_nodes(node: Any, pod: Any, snapshot: Any) -> None:
    nodes = {name: node(name) for name in "abcd"}
    for number in range(8):
        replica = pod(f"web-{number}", owner="rs", cpu="100m")
        name = place(replica, snapshot(*nodes.values()), number)
        nodes[name] = nodes[name].with_pod(replica)
    assert Counter(len(info.pods) for info in nodes.values()) == {2: 4}


def test_every_reason_is_counted_in_kube_schedulers_words(node: Any, pod: Any, snapshot: Any) -> None:
    cluster = snapshot(
        node("master", taints=["node-role.kubernetes.io/control-plane=:NoSchedule"]),
        *(node(name, pod(f"on-{name}", cpu="3500m")) for name in "abc"),
    )
    assert place(pod(cpu="1"), cluster) == (
        "0/4 nodes are available: 1 node(s) had untolerated taint(s), "
        "3 Insufficient cpu. preemption: 0/4 nodes are available: "
        "1 Preemption is not helpful for scheduling, 3 No preemption victims found for incoming pod."
    )


def test_a_cluster_without_nodes_says_so(pod: Any, snapshot: Any) -> None:
    assert place(pod(), snapshot()) == "no nodes available to schedule pods"


def test_a_pod_that_never_preempts_says_so(node: Any, pod: Any, snapshot: Any) -> None:
    said = place(pod(cpu="9", preemptionPolicy="Never"), snapshot(node("a")))
    assert said == (
        "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."
    )


def test_a_daemons_pod_is_bound_to_its_node_or_to_none(node: Any, pod: Any, snapshot: Any) -> None:
    fields = [{"key": "metadata.name", "operator": "In", "values": ["b"]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": fields}]}}
    daemon = pod(cpu="1", affinity={"nodeAffinity": required})
    assert place(daemon, snapshot(node("a"), node("b"))) == "b"
    said = place(daemon, snapshot(node("a"), node("b", cpu="500m")))
    assert said.startswith(
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't satisfy plugin(s) [NodeAffinity]. preemption:"
    )


def test_a_refusal_names_the_filters_to_wake_it_by(node: Any, pod: Any, snapshot: Any) -> None:
    outcome = schedule(pod(cpu="9"), snapshot(node("a"), node("b", taints=["x=:NoSchedule"])), random.Random(1))
    assert isinstance(outcome, Refused)
    assert outcome.filters == {"NodeResourcesFit", "TaintToleration"}


def test_scheduling_over_a_hundred_nodes_takes_milliseconds(node: Any, pod: Any, snapshot: Any) -> None:
    import time

    cluster = snapshot(*(node(f"n{number}", pod(f"p{number}", cpu="1", owner="rs")) for number in range(100)))
    begun = time.perf_counter()
    for number in range(10):
        schedule(pod(f"q{number}", cpu="100m", owner="rs"), cluster, random.Random(number))
    assert (time.perf_counter() - begun) / 10 < 0.05


def test_room_that_is_made_for_an_important_pod_is_not_taken_by_a_lesser_one(
    node: Any, pod: Any, snapshot: Any
) -> None:
    important = replace(pod("important", cpu="3"), priority=9)
    promised = replace(snapshot(node("a")), nominated={"a": [important]})
    assert isinstance(schedule(pod("lesser", cpu="2"), promised, random.Random(1)), Refused)
    assert schedule(pod("small", cpu="1"), promised, random.Random(1)) == Placed("a")
    assert schedule(important, promised, random.Random(1)) == Placed("a"), "its own promise is not in its way"
    king = replace(pod("king", cpu="2"), priority=10)
    assert schedule(king, promised, random.Random(1)) == Placed("a"), "nor in that of a more important one"


def test_nobody_is_placed_beside_a_promised_pod_only_because_it_may_come(node: Any, pod: Any, snapshot: Any) -> None:
    promised = replace(pod("database", labels={"app": "db"}), priority=9)
    terms = [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "db"}}}]
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    found = schedule(
        pod("cache", affinity=affinity), replace(snapshot(node("a")), nominated={"a": [promised]}), random.Random(1)
    )
    assert isinstance(found, Refused)
