"""Controllers: outcomes of reconcile, on virtual time."""

import asyncio

import pytest

from panal import tasks
from panal.controllers import Controller
from panal.errors import Conflict, Forbidden

pytestmark = pytest.mark.looptime


async def _run_for(controller: Controller[str], seconds: float) -> None:
    task = asyncio.get_running_loop().create_task(controller.run())
    await asyncio.sleep(seconds)
    await tasks.cancel(task)


async def test_a_satisfied_key_rests() -> None:
    seen: list[str] = []

    async def reconcile(key: str) -> None:
        seen.append(key)

    controller = Controller("test", reconcile)
    controller.queue.add("a")
    controller.queue.add("b")
    await _run_for(controller, 1000)
    assert sorted(seen) == ["a", "b"]


async def test_seconds_returned_are_when_to_look_again() -> None:
    times: list[float] = []

    async def reconcile(key: str) -> float | None:
        times.append(asyncio.get_running_loop().time())
        return 10 if len(times) < 3 else None

    controller = Controller("test", reconcile)
    controller.queue.add("a")
    await _run_for(controller, 1000)
    assert times == [0, 10, 20]


@pytest.mark.parametrize("error", [Conflict("changed"), Forbidden("no"), RuntimeError("bug")])
async def test_a_failure_is_tried_again_with_back_off(error: Exception) -> None:
    times: list[float] = []

    async def reconcile(key: str) -> None:
        times.append(round(asyncio.get_running_loop().time(), 4))
        if len(times) < 4:
            raise error

    controller = Controller("test", reconcile)
    controller.queue.add("a")
    await _run_for(controller, 1000)
    assert times == [0, 0.005, 0.015, 0.035]


async def test_one_key_is_never_worked_on_twice_at_once() -> None:
    running: set[str] = set()
    overlaps: list[str] = []

    async def reconcile(key: str) -> None:
        if key in running:
            overlaps.append(key)
        running.add(key)
        controller.queue.add(key) if asyncio.get_running_loop().time() < 5 else None
        await asyncio.sleep(1)
        running.discard(key)

    controller = Controller("test", reconcile, workers=8)
    controller.queue.add("a")
    await _run_for(controller, 20)
    assert overlaps == []
