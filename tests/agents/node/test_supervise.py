"""A component that ends is started again: at once, then after pauses that grow."""

from __future__ import annotations

import asyncio
import itertools
import os

import pytest

from panal.agents.network.contract import Space
from panal.agents.node.components import Component
from panal.agents.node.supervise import LONGEST_PAUSE, Supervised, pause_after
from panal.tasks import cancel, spawn

HERE = Space("127.0.0.1", None)


class Processes:
    """Starts nothing, counts, and lets the story end what was started."""

    def __init__(self, refuse: int = 0) -> None:
        self.requests = []
        self.refuse = refuse
        self._pids = itertools.count(100)
        self._started = asyncio.Queue()

    async def spawn(self, request, *, early):
        self.requests.append(request)
        if self.refuse:
            self.refuse -= 1
            raise OSError(12, "no memory")
        pid = next(self._pids)
        self._started.put_nowait(pid)
        return pid

    async def started(self) -> int:
        pid = await asyncio.wait_for(self._started.get(), 5)
        await asyncio.sleep(0)
        return pid


def component(*, once=False) -> Component:
    return Component("kubelet-a", "kubelet", "m:main", ("--config=x",), "a", once=once)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "kubelet-a.log"


async def test_a_killed_component_is_started_again_and_its_restarts_are_counted(log):
    processes = Processes()
    supervised = Supervised(component(), HERE, log, processes)
    task = spawn(supervised.run(), name="story")
    first = await processes.started()
    assert not supervised.ended(first + 50, 0)
    assert supervised.ended(first, 9)
    second = await processes.started()
    assert second != first
    state = supervised.state()
    assert (state["pid"], state["restarts"], state["lastExit"], state["done"]) == (second, 1, -9, False)
    await cancel(task)


async def test_what_runs_once_is_done_after_a_good_end_and_repeated_after_a_bad_one(log):
    processes = Processes()
    supervised = Supervised(component(once=True), HERE, log, processes)
    task = spawn(supervised.run(), name="story")
    supervised.ended(await processes.started(), 1 << 8)
    supervised.ended(await processes.started(), 0)
    await asyncio.wait_for(task, 5)
    assert supervised.done
    assert len(processes.requests) == 2


async def test_a_start_that_is_refused_is_tried_again(log):
    processes = Processes(refuse=2)
    supervised = Supervised(component(), HERE, log, processes)
    task = spawn(supervised.run(), name="story")
    await processes.started()
    assert len(processes.requests) == 3
    assert supervised.state()["restarts"] == 0
    await cancel(task)


async def test_its_output_goes_to_a_private_log(log):
    processes = Processes()
    task = spawn(Supervised(component(), Space("192.168.0.1", "/some/netns"), log, processes).run(), name="story")
    await processes.started()
    request = processes.requests[0]
    assert (request.python, request.name, tuple(request.argv)) == ("m:main", "kubelet", ("--config=x",))
    assert request.netns == "/some/netns"
    assert log.stat().st_mode & 0o777 == 0o600
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(request.stdout)
    await cancel(task)


def test_pauses_grow_from_nothing_to_a_second():
    pauses = [pause_after(count) for count in range(12)]
    assert pauses[:4] == [0.0, 0.02, 0.04, 0.08]
    assert pauses[-1] == LONGEST_PAUSE
    assert pauses == sorted(pauses)
