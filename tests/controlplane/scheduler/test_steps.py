"""Each step of a pod through a profile can be exchanged: order, making room, reserving, permits, and binding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from panal.controlplane import volumebinding as facts
from panal.controlplane.scheduler.configuration import Configuration
from panal.controlplane.scheduler.plugins.contract import Filter, Refusal
from panal.controlplane.scheduler.preempt import Preemption
from panal.controlplane.scheduler.profiles import Profile
from panal.controlplane.scheduler.snapshot import PodInfo, Snapshot
from panal.controlplane.scheduler.steps import BINDS, Bind, Handle, PostFilter, PreBind, QueueSort, Rejected, Reserve
from panal.informer import Applied, Deleted

from .world import World, moment

Object = dict[str, Any]


def configured(**steps: Any) -> World:
    return World(Configuration((Profile(**steps),)))


async def test_pods_go_in_the_order_that_the_queue_sort_gives() -> None:
    def by_name(pod: PodInfo, since: float) -> tuple[str]:
        return (pod.name,)

    world = configured(queue_sort=(QueueSort("ByName", by_name),))
    world.node("a")
    for name in "cab":
        world.pod(name, priority=ord(name))
    async with world.running():
        await moment()
    assert [name for name, _ in world.binder.bound] == ["a", "b", "c"]


async def test_without_a_way_to_make_room_nobody_has_to_leave() -> None:
    world = configured(post_filters=())
    world.node("a", cpu="1")
    async with world.running():
        world.pod("lesser", node="a", phase="Running", priority=0)
        world.pod("important", priority=1000)
        await moment()
    assert (world.binder.evicted, world.binder.bound) == ([], [])


async def test_the_first_that_can_make_room_is_followed() -> None:
    def nothing(*_: Any) -> None:
        return None

    def everybody(pod: PodInfo, snapshot: Snapshot, refused: object, filters: Sequence[Filter]) -> Preemption | None:
        (info,) = snapshot.nodes.values()
        return Preemption(info.name, tuple(info.pods.values()))

    world = configured(post_filters=(PostFilter("Nothing", nothing), PostFilter("Everybody", everybody)))
    world.node("a", cpu="1")
    async with world.running():
        world.pod("other", node="a", phase="Running", priority=1000)
        world.pod("web", priority=0)
        await moment()
    assert world.binder.evicted == [("other", "web")]


async def test_what_was_reserved_is_given_back_in_reverse_when_a_later_step_says_no() -> None:
    story: list[str] = []

    def reserve(name: str) -> Reserve:
        def keep(handle: Handle, pod: PodInfo, node: Object) -> None:
            story.append(f"{name} for {pod.name} on {node['metadata']['name']}")

        def undo(handle: Handle, pod: PodInfo) -> None:
            story.append(f"no {name}")

        return Reserve(name, keep, undo)

    async def no(handle: Handle, pod: PodInfo, node: str) -> None:
        raise Rejected("not yet")

    world = configured(reserves=(reserve("bed"), reserve("bath")), pre_binds=(PreBind("No", no),))
    world.node("a")
    async with world.running():
        world.pod("guest")
        await moment()
        assert world.scheduler.cache.snapshot().nodes["a"].pods == {}
    assert story == ["bed for guest on a", "bath for guest on a", "no bath", "no bed"]
    assert world.binder.bound == []


async def test_a_reservation_that_fails_lets_others_have_the_node() -> None:
    def keep(handle: Handle, pod: PodInfo, node: Object) -> None:
        if pod.name == "first":
            raise Rejected("nothing left")

    world = configured(reserves=(Reserve("Few", keep, lambda handle, pod: None),))
    world.node("a", cpu="1")
    async with world.running():
        world.pod("first", priority=5)
        world.pod("second")
        await moment()
    assert world.binder.bound == [("second", "a")]


async def test_a_bind_plugin_may_leave_it_to_the_next() -> None:
    async def mine(handle: Handle, pod: PodInfo, node: str) -> bool:
        if pod.name != "special":
            return False
        await handle.binder.bind(pod, f"{node}!")
        return True

    world = configured(binds=(Bind("Special", mine), *BINDS))
    world.node("a")
    async with world.running():
        world.pod("special")
        world.pod("web")
        await moment()
    assert sorted(world.binder.bound) == [("special", "a!"), ("web", "a")]


async def test_a_filter_of_ones_own_is_asked_again_when_what_it_waits_for_happens() -> None:
    def lit(pod: PodInfo, snapshot: Snapshot) -> Any:
        def check(info: Any) -> Refusal | None:
            return None if "lit" in info.node["metadata"]["labels"] else Refusal(("node(s) were dark",))

        return check

    world = configured(filters=(Filter("Light", lit, frozenset({"node changed"})),))
    world.node("a")
    async with world.running():
        world.pod("web")
        await moment()
        assert world.binder.said[0].startswith("0/1 nodes are available: 1 node(s) were dark.")
        world.node("a", labels={"lit": ""})
        await moment()
    assert world.binder.bound == [("web", "a")]


class Volumes:
    """The API as far as volumes go."""

    def __init__(self) -> None:
        self.updated: list[Object] = []

    async def update(self, resource: Any, obj: Object) -> Object:
        self.updated.append(obj)
        return obj


@pytest.fixture
def by_hand() -> World:
    """One volume of a class without a provisioner, on node a, and two claims of that class."""
    world = World()
    world.node("a", cpu="4")
    storage: Any = world.scheduler.storage
    storage._client = Volumes()
    storage_class = {
        "metadata": {"name": "c"},
        "provisioner": facts.NO_PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    world._show(storage._classes, storage_class)
    spec = {"storageClassName": "c", "accessModes": ["ReadWriteOnce"]}
    there = {"metadata": {"name": "v"}, "spec": {**spec, "capacity": {"storage": "1Gi"}}}
    world._show(storage._volumes, {**there, "status": {"phase": "Available"}})
    for name in ("one", "two"):
        claim = {**spec, "resources": {"requests": {"storage": "1Gi"}}}
        world._show(storage._claims, {"metadata": {"name": name, "namespace": "default", "uid": name}, "spec": claim})
    return world


def with_claim(name: str) -> list[Object]:
    return [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]


async def test_a_volume_that_is_reserved_is_nobody_elses_and_free_again_when_its_pod_does_not_go(
    by_hand: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage: Any = by_hand.scheduler.storage
    async with by_hand.running():
        by_hand.pod("first", volumes=with_claim("one"))
        await moment()
        (pointed,) = storage._client.updated
        assert (pointed["metadata"]["name"], pointed["spec"]["claimRef"]["name"]) == ("v", "one")
        by_hand.pod("second", volumes=with_claim("two"))
        await moment()
        assert "1 node(s) didn't find available persistent volumes to bind" in by_hand.binder.said[0]
        assert len(storage._client.updated) == 1, "nobody tried to take it"
        old = storage._claims._objects.pop(("default", "one"))
        storage._claims._tell(Deleted(old))  # first's claim is gone: it cannot go
        await moment()
        assert storage._client.updated[-1]["spec"]["claimRef"]["name"] == "two"
        bound = {**storage._claims._objects[("default", "two")]}
        bound["spec"] = {**bound["spec"], "volumeName": "v"}
        bound["metadata"] = {**bound["metadata"], "annotations": {facts.BIND_COMPLETED: "yes"}}
        storage._claims._tell(Applied(bound, storage._claims._objects[("default", "two")]))
        storage._claims._objects[("default", "two")] = bound
        storage._on_any(Applied(bound, None))
        await moment()
    assert by_hand.binder.bound == [("second", "a")]
    assert not storage._kept
