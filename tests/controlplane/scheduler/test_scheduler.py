"""The loop: what is tried when, what is bound, and what becomes of a pod that cannot go."""

from __future__ import annotations

import asyncio

import pytest

from panal.controlplane.scheduler.configuration import Configuration
from panal.controlplane.scheduler.profiles import Profile
from panal.controlplane.scheduler.scheduler import waits_for_us
from panal.controlplane.scheduler.snapshot import PodInfo
from panal.controlplane.scheduler.steps import Permit
from panal.errors import InternalError, NotFound

from .world import World, moment


async def test_a_pod_is_bound_and_told_of() -> None:
    world = World()
    world.node("a")
    async with world.running():
        world.pod("web")
        await moment()
    assert world.binder.bound == [("web", "a")]
    assert world.events.told == [("Scheduled", "Successfully assigned default/web to a")]


async def test_what_is_bound_but_not_confirmed_counts_already() -> None:
    world = World()
    world.node("a", cpu="2")
    async with world.running():
        for number in range(3):
            world.pod(f"web-{number}")
        await moment()
    assert [name for name, _ in world.binder.bound] == ["web-0", "web-1"]
    assert world.binder.said[0].startswith("0/1 nodes are available: 1 Insufficient cpu.")


async def test_a_refused_pod_goes_as_soon_as_another_leaves() -> None:
    world = World()
    world.node("a", cpu="1")
    world.pod("first", node="a", phase="Running")
    async with world.running():
        world.pod("second")
        await moment()
        assert world.binder.bound == []
        world.gone("first")
        await moment()
    assert world.binder.bound == [("second", "a")]


async def test_a_failed_binding_frees_the_place_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("panal.controlplane.scheduler.scheduler.time.monotonic", lambda: clock[0])
    world = World()
    world.binder.failures = 1
    world.node("a")
    async with world.running():
        world.pod("web")
        await moment()
        assert world.binder.bound == []
        assert world.scheduler.cache.snapshot().nodes["a"].pods == {}
        clock[0] += 1.0
        world.scheduler._work.set()
        await moment()
    assert world.binder.bound == [("web", "a")]


async def test_gated_foreign_finished_and_leaving_pods_are_not_ours() -> None:
    world = World()
    world.node("a")
    async with world.running():
        world.pod("gated", schedulingGates=[{"name": "wait"}])
        world.pod("foreign", schedulerName="other")
        world.pod("finished", phase="Succeeded")
        await moment()
        assert world.binder.bound == []
        world.pod("gated")
        await moment()
    assert world.binder.bound == [("gated", "a")]
    assert not waits_for_us({"metadata": {"deletionTimestamp": "now"}, "spec": {}})


async def test_a_finished_pod_gives_its_room_back() -> None:
    world = World()
    world.node("a", cpu="1")
    async with world.running():
        world.pod("job", node="a", phase="Running")
        world.pod("next")
        await moment()
        world.pod("job", node="a", phase="Succeeded")
        await moment()
    assert world.binder.bound == [("next", "a")]


async def test_an_important_pod_pushes_out_a_lesser_one_and_takes_its_place() -> None:
    world = World()
    world.node("a", cpu="1")
    async with world.running():
        world.pod("lesser", node="a", phase="Running", priority=0)
        world.pod("important", priority=1000)
        await moment()
        assert world.binder.evicted == [("lesser", "important")]
        assert world.binder.bound == []
        world.gone("lesser")
        await moment()
    assert world.binder.bound == [("important", "a")]


async def test_an_eviction_that_failed_is_tried_again_soon() -> None:
    world = World(Configuration(backoff_first=0.05, backoff_most=0.05))
    world.binder.failing = [InternalError("no")]
    world.node("a", cpu="1")
    async with world.running():
        world.pod("lesser", node="a", phase="Running", priority=0)
        world.pod("important", priority=1000)
        async with asyncio.timeout(10):
            while not world.binder.evicted:
                await moment()
    assert world.binder.evicted == [("lesser", "important")]


async def test_a_victim_that_left_by_itself_does_not_keep_the_others() -> None:
    world = World()
    world.binder.failing = [NotFound("gone")]
    world.node("a", cpu="2")
    async with world.running():
        world.pod("first", node="a", phase="Running", priority=0)
        world.pod("second", node="a", phase="Running", priority=0)
        world.pod("important", cpu="2", priority=1000)
        await moment()
        assert world.binder.evicted == [("second", "important")]


async def test_a_pod_goes_by_the_profile_it_names() -> None:
    world = World(Configuration((Profile(), Profile("other", filters=()))))
    world.node("a", cpu="1")
    async with world.running():
        world.pod("big", cpu="2", schedulerName="other")
        world.pod("ordinary", cpu="2")
        world.pod("foreign", schedulerName="somebody")
        await moment()
    assert world.binder.bound == [("big", "a")]
    assert world.binder.said[0].startswith("0/1 nodes are available: 1 Insufficient cpu.")


async def test_a_permit_may_let_a_pod_wait_with_its_place_reserved() -> None:
    door = asyncio.Event()

    async def ask(pod: PodInfo, node: str) -> str | None:
        await door.wait()
        return None

    world = World(Configuration((Profile(permits=(Permit("Door", ask),)),)))
    world.node("a", cpu="1")
    async with world.running():
        world.pod("first")
        world.pod("second")
        await moment()
        assert world.binder.bound == []
        assert world.scheduler.cache.is_assumed("first")
        door.set()
        await moment()
    assert world.binder.bound == [("first", "a")]


async def test_a_permit_that_is_refused_gives_the_place_back() -> None:
    async def ask(pod: PodInfo, node: str) -> str | None:
        return "not today"

    world = World(Configuration((Profile(permits=(Permit("Door", ask),)),)))
    world.node("a")
    async with world.running():
        world.pod("first")
        await moment()
        assert world.scheduler.cache.snapshot().nodes["a"].pods == {}
    assert world.binder.bound == []


async def test_a_node_that_still_lacks_what_a_pod_asks_does_not_wake_it() -> None:
    world = World()
    world.node("a", cpu="1")
    async with world.running():
        world.pod("big", cpu="4")
        world.pod("small", cpu="2")
        await moment()
        world.node("b", cpu="2")
        await moment()
        assert world.binder.bound == [("small", "b")]
        assert len(world.binder.said) == 2, "big was not tried again"
        world.node("c", cpu="4")
        await moment()
    assert world.binder.bound[1:] == [("big", "c")]


async def test_a_place_that_was_promised_and_not_taken_is_free_for_others() -> None:
    world = World()
    world.node("a", cpu="1")
    world.pod("lesser", node="a", phase="Running", priority=0)
    async with world.running():
        world.promised("important", "a", priority=9)
        world.pod("waiting", priority=5)
        await moment()
        world.node("b", cpu="1")
        await moment()
        assert world.binder.bound == [("important", "b")]
        world.gone("lesser")
        await moment()
    assert world.binder.bound[1:] == [("waiting", "a")]
