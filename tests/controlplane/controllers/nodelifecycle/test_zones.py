"""How fast nodes are given up: one every ten seconds, none when a small zone is disrupted, none when all are silent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.controllers.nodelifecycle.decide import is_given_up, wanted_taints
from panal.controlplane.controllers.nodelifecycle.zones import Limits, State, Zones, state, zone_of


def zones(ready: int, unready: int, zone: str = "z", found: Zones | None = None) -> Zones:
    found = found or Zones(Limits())
    for number in range(ready + unready):
        found.see(f"{zone}-{number}", zone, number >= unready)
    return found


@pytest.mark.parametrize(
    ("ready", "unready", "wanted"),
    [(0, 0, State.NORMAL), (0, 1, State.FULL), (1, 2, State.NORMAL), (2, 3, State.PARTIAL), (4, 4, State.NORMAL)],
)
def test_a_zone_is_disrupted_when_more_than_two_and_most_of_its_nodes_are_silent(
    ready: int, unready: int, wanted: State
) -> None:
    assert state(ready, unready, 0.55) is wanted


def test_one_node_in_ten_seconds_is_given_up() -> None:
    found = zones(10, 2)
    assert found.wait("z-0", 100.0) == 0
    assert found.wait("z-1", 100.0) == pytest.approx(10)
    assert found.wait("z-1", 104.0) == pytest.approx(6)
    assert found.wait("z-1", 110.0) == 0


def test_a_small_zone_that_is_disrupted_gives_up_none_and_a_large_one_few() -> None:
    assert zones(1, 3).wait("z-0", 0.0) is None
    large = zones(20, 40)
    assert large.wait("z-0", 0.0) == 0
    assert large.wait("z-1", 0.0) == pytest.approx(100)


def test_a_zone_that_is_silent_as_a_whole_is_given_up_unless_it_is_all_there_is() -> None:
    alone = zones(0, 3)
    assert alone.all_disrupted()
    assert alone.wait("z-0", 0.0) is None
    both = zones(3, 0, "other", alone)
    assert both.wait("z-0", 0.0) == 0


def test_it_is_told_when_the_others_are_to_be_looked_at_again() -> None:
    found = zones(2, 2)
    assert not found.see("z-0", "z", False)
    assert found.see("z-2", "z", False), "three of four: disrupted"
    assert found.see("z-2", "z", True)
    assert not found.forget("z-3")
    assert sorted(found.unready()) == ["z-0", "z-1"]


def test_its_pods_are_told_to_leave_only_when_a_node_is_given_up() -> None:
    labels = {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z"}
    conditions = [{"type": "Ready", "status": "Unknown"}]
    node: dict[str, Any] = {"metadata": {"name": "a", "labels": labels}, "status": {"conditions": conditions}}
    assert zone_of(node) == "r/z"
    assert [item["effect"] for item in wanted_taints(node, 0.0, given_up=False)] == ["NoSchedule"]
    node["spec"] = {"taints": wanted_taints(node, 0.0)}
    assert is_given_up(node)
    assert [item["effect"] for item in wanted_taints(node, 0.0, given_up=False)] == ["NoSchedule"], "taken back"


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("xy"), st.sampled_from([True, False, None])), max_size=40))
def test_the_counts_are_those_of_the_nodes_whatever_happened(history: list[tuple[int, str, bool | None]]) -> None:
    found, nodes = Zones(Limits()), dict[str, tuple[str, bool]]()
    for number, zone, ready in history:
        name = f"n{number}"
        if ready is None:
            found.forget(name)
            nodes.pop(name, None)
        else:
            found.see(name, zone, ready)
            nodes[name] = zone, ready
        assert sorted(found.unready()) == sorted(each for each, (_, up) in nodes.items() if not up)
        assert found.all_disrupted() == (bool(nodes) and not any(up for _, up in nodes.values()))
