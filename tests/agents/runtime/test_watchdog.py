"""Limits kept by watching: the account of one container, and real processes that go over theirs."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from panal.agents.runtime import processes, watchdog
from panal.agents.runtime.cgroups import Cgroups
from panal.agents.runtime.watchdog import Guard, Verdict

from .conftest import Node


def test_memory_is_measured_exactly_only_when_it_may_be_too_much() -> None:
    guard = Guard(memory=100, cores=None)
    assert guard.look(1.0, 0.0, 40, lambda: pytest.fail("not asked")) is Verdict.CALM
    assert guard.look(2.0, 0.0, 60, lambda: pytest.fail("not asked")) is Verdict.NEAR
    assert guard.look(3.0, 0.0, 150, lambda: 90) is Verdict.NEAR, "pages shared with others count in part"
    assert guard.look(4.0, 0.0, 150, lambda: 101) is Verdict.KILL


def test_a_busy_container_gets_its_share_and_no_more() -> None:
    guard, now, cpu, held = Guard(memory=None, cores=0.25), 0.0, 0.0, False
    for _ in range(4000):
        held = guard.look(now, cpu, 0, int) is Verdict.HOLD
        step = watchdog.HELD if held else watchdog.NEAR
        now, cpu = now + step, cpu + (0.0 if held else step)
    assert 0.22 < cpu / now < 0.28


def test_what_was_not_used_is_saved_up_for_a_moment_only() -> None:
    guard = Guard(memory=None, cores=0.5)
    assert guard.look(0.0, 0.0, 0, int) is Verdict.CALM
    assert guard.look(1000.0, 0.0, 0, int) is Verdict.CALM
    assert guard.saved == pytest.approx(0.5 * watchdog.BURST)


def by_cgroups(node: Node) -> bool:
    """Whether the kernel keeps the limits of this runtime's containers."""
    return node.kind != "user" and os.geteuid() == 0 and Cgroups("x").available(pids=True)


EATER = "import time\nkept = []\nwhile True: kept.append(bytearray(b'x' * (4 << 20))); time.sleep(0.01)"


async def test_a_container_over_its_memory_is_killed_and_says_why(node: Node) -> None:
    container = await node.run("python3", "-c", EATER, image="python", memory_limit=64 << 20)
    ended = await node.ended(container)
    assert (ended.exit_code, ended.oom_killed) == (137, True)
    assert (watchdog.WORDS in ended.warnings) != by_cgroups(node)


async def test_a_container_over_its_cpu_is_slowed_down(node: Node) -> None:
    container = await node.run("sh", "-c", "while :; do :; done", cpu_limit_milli=200)
    began, before = time.monotonic(), (await node.runtime.usage(container)).cpu_seconds
    while (now := time.monotonic()) < began + 2.5:
        assert (await node.container(container)).exit_code is None
        await node.runtime.exec(container, ["true"])
    used = (await node.runtime.usage(container)).cpu_seconds - before
    assert 0.02 < used / (now - began) < 0.4
    await node.runtime.stop(container, 0)


def process(pid: int, start: int) -> processes.Process:
    return processes.Process(pid, 1, 1, "S", start, 0.0, 0)


def test_of_a_pod_with_too_many_processes_the_newest_go_but_never_a_containers_first() -> None:
    found = [process(7, 10), process(8, 11), process(9, 30), process(3, 20), process(5, 30)]
    assert watchdog.surplus(found, 5, {7}) == []
    assert [gone.pid for gone in watchdog.surplus(found, 3, {7})] == [9, 5]
    assert [gone.pid for gone in watchdog.surplus(found, 1, {7, 9})] == [5, 3, 8]


FORKER = """
import os, time
made = 0
for _ in range(60):
    try:
        if os.fork() == 0:
            time.sleep(1000)
    except OSError as error:
        print(error.strerror, flush=True)
        break
    made += 1
print("made", flush=True)
time.sleep(1000)
"""


async def test_a_pod_has_no_more_processes_than_it_may(node: Node) -> None:
    pod = await node.pod("crowd", pids_limit=20)
    container = await node.run("python3", "-c", FORKER, image="python", sandbox=pod)
    await node.said(container, "made")
    if by_cgroups(node):
        assert "Resource temporarily unavailable" in node.output(container)
    assert (watchdog.WORDS in (await node.container(container)).warnings) != by_cgroups(node)
    async with asyncio.timeout(30):
        while await alive(node, container) > 20:
            await node.runtime.sandboxes()
    assert (await node.container(container)).exit_code is None
    await node.runtime.remove_sandbox(pod.id)


async def alive(node: Node, container: str) -> int:
    """The container's processes but those that have ended and nobody has waited for."""
    if node.kind == "plain":
        pid = (await node.container(container)).pid
        assert pid is not None
        return 1 + sum(found.state != "Z" for found in processes.descendants(pid))
    command = ["sh", "-c", "grep -l 'State:.[^Z]' /proc/[0-9]*/status"]
    names = (await node.runtime.exec(container, command)).stdout.split()
    return len(names) - 2  # the command's own


async def test_a_container_left_stopped_goes_on_when_the_daemon_is_back(node: Node) -> None:
    script = "while :; do for i in 1 2 3 4 5 6 7 8 9; do :; done; done"
    container = await node.run("sh", "-c", script, cpu_limit_milli=100)
    await node.kill("daemon")
    before = (await node.runtime.usage(container)).cpu_seconds
    deadline = time.monotonic() + 20
    while (await node.runtime.usage(container)).cpu_seconds <= before:
        assert time.monotonic() < deadline, "it stands still"
        await node.runtime.sandboxes()
    await node.runtime.stop(container, 0)


def test_descendants_are_found_without_a_walk() -> None:
    assert os.getpid() in {process.pid for process in processes.descendants(os.getppid())}
