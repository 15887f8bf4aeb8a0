"""The runtime's lists by pod, and how few of them are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from panal import tasks
from panal.agents.kubelet.view import RuntimeView, by_pod
from panal.agents.runtime.contract import (
    Container,
    ContainerChanged,
    ContainerConfig,
    ContainerState,
    RuntimeFailure,
    Sandbox,
    SandboxConfig,
)


def sandbox(key: str, uid: str, attempt: int = 0) -> Sandbox:
    return Sandbox(key, SandboxConfig("p", "default", uid, attempt), "10.0.0.1", True, 0.0)


def container(key: str, where: str, name: str, attempt: int) -> Container:
    return Container(key, where, ContainerConfig(name, "i", attempt), ContainerState.RUNNING, "", 0.0)


class Lists:
    """A runtime that holds its answers back until they are let go."""

    def __init__(self) -> None:
        self.boxes: list[Sandbox] = []
        self.lists = 0
        self.asked: list[str] = []
        self.fails = False
        self.open = asyncio.Event()
        self.open.set()
        self.bells: asyncio.Queue[ContainerChanged | None] = asyncio.Queue()

    async def sandboxes(self) -> Sequence[Sandbox]:
        self.lists += 1
        found = list(self.boxes)
        await self.open.wait()
        return found

    async def containers(self) -> Sequence[Container]:
        return []

    async def of_pod(self, uid: str) -> tuple[Sequence[Sandbox], Sequence[Container]]:
        self.asked.append(uid)
        if self.fails:
            raise RuntimeFailure("not now")
        return [box for box in self.boxes if box.config.uid == uid], []

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[ContainerChanged]]:
        async def bells() -> AsyncIterator[ContainerChanged]:
            while (bell := await self.bells.get()) is not None:
                yield bell
            raise RuntimeFailure("gone")

        yield bells()


def test_attempts_of_every_sandbox_are_gathered_by_pod_and_name() -> None:
    boxes = [sandbox("s2", "a", 1), sandbox("s1", "a"), sandbox("s3", "b")]
    found = by_pod(
        boxes, [container("c2", "s2", "web", 1), container("c1", "s1", "web", 0), container("x", "no", "web", 0)]
    )
    assert found["a"].sandbox == boxes[0]
    assert found["a"].old_sandboxes == [boxes[1]]
    assert [item.id for item in found["a"].containers["web"]] == ["c1", "c2"]
    assert found["b"].containers == {}


async def test_whoever_asks_during_a_list_gets_one_that_began_later() -> None:
    runtime: Any = Lists()
    told: list[str] = []
    view = RuntimeView(runtime, told.append)
    runtime.open.clear()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        first = group.create_task(view.refresh())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        runtime.boxes.append(sandbox("s", "a"))
        later = [group.create_task(view.refresh()) for _ in range(5)]
        await asyncio.sleep(0)
        runtime.open.set()
        await first
        await asyncio.gather(*later)
    assert runtime.lists == 2
    assert told == ["a"]
    assert view.pod("a").sandbox is not None


async def test_a_burst_of_events_is_one_list_and_a_lost_runtime_is_found_again() -> None:
    runtime: Any = Lists()
    view = RuntimeView(runtime, lambda _: None)
    connections: list[bool] = []
    view.on_connection = connections.append
    following = tasks.spawn(view.run(), name="view")
    async with asyncio.timeout(5):
        await view.ready.wait()
        before = runtime.lists
        for _ in range(20):
            runtime.bells.put_nowait(ContainerChanged("c", "s"))
        await asyncio.sleep(0.05)
        assert runtime.lists - before <= 2
        runtime.bells.put_nowait(None)
        while connections != [True, False, True]:
            await asyncio.sleep(0.005)
    await tasks.cancel(following)


async def test_what_happens_in_one_pod_asks_for_no_other() -> None:
    runtime: Any = Lists()
    told: list[str] = []
    runtime.boxes = [sandbox("s1", "a"), sandbox("s2", "b")]
    view = RuntimeView(runtime, told.append)
    following = tasks.spawn(view.run(), name="view")
    async with asyncio.timeout(5):
        await view.ready.wait()
        assert (runtime.lists, sorted(told)) == (1, ["a", "b"])
        runtime.boxes[0] = sandbox("s1", "a", 1)
        for _ in range(3):
            runtime.bells.put_nowait(ContainerChanged("c", "s1"))
        while view.pod("a").sandbox != runtime.boxes[0]:
            await asyncio.sleep(0.005)
        assert (runtime.lists, set(runtime.asked)) == (1, {"a"})
        assert told[2:] == ["a"]
        del runtime.boxes[0]
        await view.refresh("a")
        assert (view.uids(), told[3:]) == (["b"], ["a"])
        runtime.bells.put_nowait(ContainerChanged("c", "s1"))
        while runtime.lists == 1:
            await asyncio.sleep(0.005)
    await tasks.cancel(following)


async def test_who_looks_for_himself_spares_the_look_that_an_event_asks_for() -> None:
    runtime: Any = Lists()
    runtime.boxes = [sandbox("s1", "a")]
    view = RuntimeView(runtime, lambda _: None)
    following = tasks.spawn(view.run(), name="view")
    async with asyncio.timeout(5):
        await view.ready.wait()
        runtime.boxes[0] = sandbox("s1", "a", 1)
        view.tell(ContainerChanged("c", "s1"))
        await view.refresh("a")
        for _ in range(5):
            await asyncio.sleep(0)
        assert runtime.asked == ["a"]
        runtime.fails = True
        view.tell(ContainerChanged("c", "s1"))
        with pytest.raises(RuntimeFailure):
            await view.refresh("a")
        runtime.fails = False
        while len(runtime.asked) < 3:  # the look that came to nothing is made up for
            await asyncio.sleep(0.005)
    await tasks.cancel(following)
