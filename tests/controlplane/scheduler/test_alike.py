"""What is remembered of the nodes gives the decisions that looking at all of them would give, whatever happens."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from panal.controlplane.scheduler.alike import Tables
from panal.controlplane.scheduler.cache import Cache
from panal.controlplane.scheduler.decide import Placed, Refused, favourites, feasible_nodes, schedule
from panal.controlplane.scheduler.plugins import FILTERS, SCORES
from panal.controlplane.scheduler.snapshot import PodInfo, pod_info

ZONE = "topology.kubernetes.io/zone"
NODES = [f"n{number}" for number in range(8)]


def preferred(kind: str, field: str, what: Any) -> Any:
    return {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 7, field: what}]}}


def term(app: str, key: str) -> Any:
    return {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}}


def required(kind: str, app: str, key: str) -> Any:
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term(app, key)]}}


def spread(key: str, when: str = "ScheduleAnyway") -> Any:
    selector = {"matchLabels": {"app": "a"}}
    return [{"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": when, "labelSelector": selector}]


KINDS: tuple[Any, ...] = (
    {},
    {"owner": "rs"},
    {"owner": "rs", "tolerations": [{"operator": "Exists"}]},
    {"nodeSelector": {"disk": "ssd"}},
    {"topologySpreadConstraints": spread(ZONE)},
    {"topologySpreadConstraints": [*spread("kubernetes.io/hostname"), *spread(ZONE)]},
    {"topologySpreadConstraints": spread(ZONE, "DoNotSchedule")},
    {"affinity": preferred("podAffinity", "podAffinityTerm", term("a", ZONE))},
    {"affinity": preferred("podAntiAffinity", "podAffinityTerm", term("b", "kubernetes.io/hostname"))},
    {"affinity": required("podAntiAffinity", "b", "kubernetes.io/hostname")},
    {"affinity": required("podAffinity", "a", ZONE)},
    {"priority": 5, "ports": [{"hostPort": 80}]},
)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    kinds, sizes = st.integers(0, len(KINDS) - 1), st.sampled_from([0, 500, 1500])
    placed = st.tuples(st.just("pod"), kinds, st.sampled_from("ab"), sizes)
    step = st.one_of(
        st.tuples(
            st.just("node"),
            st.sampled_from(NODES),
            st.sampled_from(["2", "4", "8"]),
            st.sampled_from(["", "x", "y"]),
            st.sampled_from([(), ("PreferNoSchedule",), ("NoSchedule",)]),
            st.booleans(),
        ),
        st.tuples(st.just("no node"), st.sampled_from(NODES)),
        placed,
        placed,
        st.tuples(st.just("gone"), st.integers(0, 30)),
        st.tuples(st.just("leaving"), st.integers(0, 30)),
    )
    return draw(st.lists(step, min_size=5, max_size=40))


class World:
    def __init__(self) -> None:
        self.cache, self.tables = Cache(), Tables(FILTERS, SCORES)
        self.made: list[tuple[PodInfo, str]] = []
        self.number = 0

    def node(self, name: str, cpu: str, zone: str, taints: tuple[str, ...], image: bool) -> None:
        labels = {"kubernetes.io/hostname": name, "disk": "ssd" if cpu == "8" else "hdd"}
        status = {
            "allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "5"},
            "images": [{"names": ["i:latest"], "sizeBytes": 1 << 29}] if image else [],
        }
        meta = {"name": name, "labels": {**labels, **({ZONE: zone} if zone else {})}}
        spec = {"taints": [{"key": "k", "effect": effect} for effect in taints]}
        self.cache.set_node({"metadata": meta, "spec": spec, "status": status})

    def pod(self, kind: int, app: str, cpu: int) -> PodInfo:
        spec = dict(KINDS[kind])
        self.number += 1
        owner = spec.pop("owner", "")
        meta: Any = {"name": f"p{self.number}", "namespace": "d", "uid": f"p{self.number}", "labels": {"app": app}}
        if owner:
            meta["ownerReferences"] = [{"uid": owner, "controller": True}]
        container = {"image": "i", "resources": {"requests": {"cpu": f"{cpu}m"} if cpu else {}}}
        container["ports"] = spec.pop("ports", [])
        return pod_info({"metadata": meta, "spec": {"containers": [container], **spec}})

    def decide(self, pod: PodInfo, chance: random.Random) -> None:
        snapshot = self.cache.snapshot()
        feasible, refused = feasible_nodes(pod, snapshot)
        found = schedule(pod, snapshot, chance, tables=self.tables)
        if refused is not None:
            assert isinstance(found, Refused)
            assert (found.refusals, found.filters) == (refused.refusals, refused.filters)
            return
        assert isinstance(found, Placed)
        assert found.node in favourites(pod, snapshot, feasible)
        table = self.tables.find(pod, snapshot)
        if table is not None:
            grouped = sorted(name for group in table.best() for name in group.names)
            assert grouped == sorted(favourites(pod, snapshot, feasible))
        self.cache.assume(pod, found.node)
        self.made.append((pod, found.node))


@settings(max_examples=60, deadline=None)
@given(histories(), st.integers(0, 100))
def test_whatever_happens_the_nodes_are_chosen_that_a_look_at_all_would_choose(
    history: list[tuple[Any, ...]], seed: int
) -> None:
    world, chance = World(), random.Random(seed)
    for what, *rest in history:
        match what:
            case "node":
                world.node(*rest)
            case "no node":
                world.cache.remove_node(*rest)
            case "pod":
                world.decide(world.pod(*rest), chance)
            case "gone" if rest[0] < len(world.made):
                world.cache.remove_pod(world.made[rest[0]][0].uid)
            case "leaving" if rest[0] < len(world.made):
                pod, node = world.made[rest[0]]
                obj = {**pod.obj, "metadata": {**pod.obj["metadata"], "deletionTimestamp": "now"}}
                world.cache.add_pod(pod_info(obj), node)


def test_a_decision_among_many_nodes_costs_no_more_than_among_few() -> None:
    costs = []
    for many in (50, 2000):
        world = World()
        for number in range(many):
            world.node(f"n{number}", "8", "", (), False)
        looked = 0
        for number in range(60):
            pod = world.pod(0, "a", 100)
            before = world.cache.snapshot().changes
            assert before is not None
            table = world.tables.find(pod, world.cache.snapshot())
            assert table is not None
            if number:
                looked += len(before.since(before.clock - 1) or ())
            name = table.pick(random.Random(number))
            assert name is not None
            world.cache.assume(pod, name)
        costs.append(looked)
    assert costs[0] == costs[1] == 59
