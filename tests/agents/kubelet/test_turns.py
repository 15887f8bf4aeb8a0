"""Few at a time, those nearest to their end first, and no place is ever lost."""

from __future__ import annotations

import asyncio

from panal import tasks
from panal.agents.kubelet.turns import Stage, Turns


async def test_those_nearest_to_their_end_go_first() -> None:
    turns, order = Turns(1), []

    async def step(name: str, stage: Stage) -> None:
        async with turns.turn(stage):
            order.append(name)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for name, stage in (
            ("a", Stage.VOLUMES),
            ("b", Stage.VOLUMES),
            ("c", Stage.SANDBOX),
            ("d", Stage.CONTAINER),
            ("e", Stage.CONTAINER),
        ):
            group.create_task(step(name, stage))
        await asyncio.sleep(0)
        assert turns.crowded
    assert order == ["a", "d", "e", "c", "b"]
    assert not turns.crowded


async def test_no_more_than_the_places_are_taken_and_whoever_gives_up_leaves_none_taken() -> None:
    turns, inside, most = Turns(3), 0, 0

    async def step() -> None:
        nonlocal inside, most
        async with turns.turn(Stage.SANDBOX):
            inside += 1
            most = max(most, inside)
            try:
                await asyncio.sleep(0)
            finally:
                inside -= 1

    under_way = [tasks.spawn(step(), name="step") for _ in range(30)]
    await asyncio.sleep(0)
    for task in under_way[::2]:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    assert most == 3
    async with asyncio.timeout(5), turns.turn(Stage.VOLUMES), turns.turn(Stage.VOLUMES), turns.turn(Stage.VOLUMES):
        pass
