"""The work queue's promises, on virtual time."""

import asyncio

import pytest

from panal.workqueue import WorkQueue

pytestmark = pytest.mark.looptime


async def test_a_key_added_twice_waits_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    assert await queue.get() == "a"
    assert len(queue) == 0


async def test_a_key_added_while_worked_on_comes_back_after_done_and_not_before() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    assert len(queue) == 0
    queue.done(key)
    assert await queue.get() == "a"


async def test_back_off_doubles_until_forgotten() -> None:
    queue: WorkQueue[str] = WorkQueue()
    loop = asyncio.get_running_loop()
    waits = []
    for _ in range(4):
        start = loop.time()
        queue.add_rate_limited("a")
        queue.done(await queue.get())
        waits.append(round(loop.time() - start, 4))
    assert waits == [0.005, 0.01, 0.02, 0.04]
    queue.forget("a")
    start = loop.time()
    queue.add_rate_limited("a")
    await queue.get()
    assert round(loop.time() - start, 4) == 0.005


async def test_the_earlier_of_two_timers_wins() -> None:
    queue: WorkQueue[str] = WorkQueue()
    loop = asyncio.get_running_loop()
    queue.add_after("a", 100)
    queue.add_after("a", 5)
    queue.add_after("a", 50)
    await queue.get()
    assert loop.time() == 5
    queue.close()


async def test_adding_now_cancels_the_timer() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 10)
    queue.add("a")
    queue.done(await queue.get())
    await asyncio.sleep(20)
    assert len(queue) == 0
