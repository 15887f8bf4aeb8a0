"""Stories of waiting: priorities, back-off, and what wakes a pod that no node took."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from panal.controlplane.scheduler.plugins import NODE_ADDED, POD_GONE, POD_PLACED
from panal.controlplane.scheduler.queue import LEFTOVER, Queue


def popped(queue: Queue, now: float) -> list[str]:
    found = []
    while (item := queue.pop(now)) is not None:
        found.append(item.pod.name)
    return found


def test_the_important_go_first_and_then_the_oldest(pod: Any) -> None:
    queue = Queue()
    queue.add(pod("second"), 1.0)
    queue.add(pod("third"), 2.0)
    queue.add(replace(pod("first"), priority=1000), 3.0)
    assert popped(queue, 3.0) == ["first", "second", "third"]


def test_a_refused_pod_sleeps_until_something_that_helps_it_happens(pod: Any) -> None:
    queue = Queue()
    queue.add(pod("big"), 0.0)
    item = queue.pop(0.0)
    assert item is not None
    queue.refused(item, {"NodeResourcesFit"}, 0.0)
    assert popped(queue, 60.0) == []
    queue.wake(POD_PLACED, 60.0)
    assert popped(queue, 60.0) == []
    queue.wake(POD_GONE, 60.0)
    assert popped(queue, 60.0) == ["big"]


def test_a_pod_without_any_node_is_woken_by_the_first(pod: Any) -> None:
    queue = Queue()
    queue.add(pod("early"), 0.0)
    item = queue.pop(0.0)
    assert item is not None
    queue.refused(item, (), 0.0)
    queue.wake(NODE_ADDED, 0.01)
    assert popped(queue, 0.01) == ["early"]


def test_a_pod_in_back_off_lets_others_go_first_but_does_not_wait_for_nobody(pod: Any) -> None:
    queue = Queue()
    queue.add(pod("big"), 0.0)
    item = queue.pop(0.0)
    assert item is not None
    queue.refused(item, {"NodeResourcesFit"}, 0.0)
    queue.wake(POD_GONE, 0.1)
    queue.add(pod("small"), 0.1)
    assert popped(queue, 0.1) == ["small", "big"]


def test_an_error_is_tried_again_after_one_two_four_seconds_and_at_most_ten(pod: Any) -> None:
    queue, now, waits = Queue(), 0.0, []
    queue.add(pod("unlucky"), now)
    for _ in range(6):
        item = queue.pop(now)
        assert item is not None
        queue.failed(item, now)
        assert queue.pop(now) is None
        wait = queue.next_due(now)
        assert wait is not None
        waits.append(wait)
        now += wait
    assert waits == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_nobody_sleeps_for_ever(pod: Any) -> None:
    queue = Queue()
    queue.add(pod("forgotten"), 0.0)
    item = queue.pop(0.0)
    assert item is not None
    queue.refused(item, {"NodeResourcesFit"}, 0.0)
    assert queue.next_due(0.0) == LEFTOVER
    assert popped(queue, LEFTOVER) == ["forgotten"]


def test_a_pod_removed_while_waiting_or_being_tried_stays_away(pod: Any) -> None:
    queue = Queue()
    queue.add(pod("x"), 0.0)
    queue.remove("x")
    assert popped(queue, 0.0) == []
    queue.add(pod("y"), 0.0)
    item = queue.pop(0.0)
    assert item is not None
    queue.remove("y")
    queue.refused(item, (), 0.0)
    queue.wake(NODE_ADDED, 1.0)
    assert popped(queue, 20.0) == []
    assert len(queue) == 0


def test_a_changed_pod_is_tried_at_once(pod: Any) -> None:
    queue = Queue()
    queue.add(pod("picky"), 0.0)
    item = queue.pop(0.0)
    assert item is not None
    queue.refused(item, {"NodeAffinity"}, 0.0)
    queue.add(pod("picky", nodeSelector={}), 0.1)
    assert popped(queue, 0.1) == ["picky"]
