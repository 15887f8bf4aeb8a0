from __future__ import annotations

from typing import Any

from panal.controlplane.scheduler.cache import Cache


def node(name: str, cpu: str = "4") -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "pods": "10"}}}


def test_an_assumed_pod_takes_its_place_until_confirmed_or_forgotten(pod: Any) -> None:
    cache = Cache()
    cache.set_node(node("a"))
    cache.assume(pod("x", cpu="1"), "a")
    assert cache.snapshot().nodes["a"].requested == {"cpu": 1000}
    assert cache.forget("x")
    assert cache.snapshot().nodes["a"].pods == {}
    cache.assume(pod("y", cpu="1"), "a")
    cache.add_pod(pod("y", cpu="1"), "a")
    assert not cache.forget("y")
    assert list(cache.snapshot().nodes["a"].pods) == ["y"]


def test_what_a_snapshot_says_of_a_node_is_not_touched_by_what_happens_later(pod: Any) -> None:
    cache = Cache()
    cache.set_node(node("a"))
    before = cache.snapshot().nodes["a"]
    cache.add_pod(pod("x", cpu="1"), "a")
    assert before.pods == {}


def test_a_pod_bound_elsewhere_than_assumed_moves(pod: Any) -> None:
    cache = Cache()
    cache.set_node(node("a"))
    cache.set_node(node("b"))
    cache.assume(pod("x", cpu="1"), "a")
    cache.add_pod(pod("x", cpu="1"), "b")
    assert [list(info.pods) for info in cache.snapshot().nodes.values()] == [[], ["x"]]
    assert cache.snapshot().nodes["a"].requested["cpu"] == 0


def test_pods_may_be_seen_before_their_node_and_outlive_it(pod: Any) -> None:
    cache = Cache()
    cache.add_pod(pod("x", cpu="1"), "a")
    assert len(cache.snapshot()) == 0
    cache.set_node(node("a"))
    assert list(cache.snapshot().nodes["a"].pods) == ["x"]
    cache.remove_node("a")
    assert len(cache.snapshot()) == 0
    assert cache.remove_pod("x")
    assert not cache.remove_pod("x")


def test_a_node_that_grows_keeps_its_pods(pod: Any) -> None:
    cache = Cache()
    cache.set_node(node("a"))
    cache.add_pod(pod("x", cpu="1"), "a")
    cache.set_node(node("a", cpu="8"))
    info = cache.node("a")
    assert info is not None
    assert (info.allocatable["cpu"], info.requested["cpu"]) == (8000, 1000)
