"""Random histories of the queue: nothing is lost, nothing comes twice, and the most important waits least."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from panal.controlplane.scheduler.plugins import FILTERS, NODE_ADDED, POD_GONE, POD_PLACED
from panal.controlplane.scheduler.queue import LEFTOVER, Queue, Waiting

from .conftest import pod

EVENTS = [NODE_ADDED, POD_GONE, POD_PLACED]
BLAMES = [frozenset[str](), frozenset({"NodeResourcesFit"}), frozenset({"NodeName", "InterPodAffinity"})]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 7), st.integers(0, 2)),
        st.tuples(st.just("remove"), st.integers(0, 7)),
        st.tuples(st.just("pop"), st.sampled_from(["bound", "refused", "failed"]), st.sampled_from(BLAMES)),
        st.tuples(st.just("wake"), st.sampled_from(EVENTS), st.booleans()),
        st.tuples(st.just("time"), st.sampled_from([0.1, 1.0, 30.0, LEFTOVER])),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_whatever_happens_every_pod_that_waits_is_tried_in_the_end(history: list[tuple[Any, ...]]) -> None:
    queue, now = Queue(), 0.0
    waiting: set[str] = set()
    for what, *rest in history:
        match what:
            case "add":
                queue.add(replace(pod(f"p{rest[0]}"), priority=rest[1]), now)
                waiting.add(f"p{rest[0]}")
            case "remove":
                queue.remove(f"p{rest[0]}")
                waiting.discard(f"p{rest[0]}")
            case "pop":
                item = queue.pop(now)
                if item is not None:
                    assert item.pod.uid in waiting
                    _end(queue, item, rest[0], rest[1], now, waiting)
            case "wake":
                queue.wake(rest[0], now, lambda item, agrees=rest[1]: agrees)  # type: ignore[misc]
            case "time":
                now += rest[0]
        assert len(queue) == len(waiting)
        assert all(uid in queue for uid in waiting)
    due = queue.next_due(now)
    assert due is None or due <= LEFTOVER
    found = []
    while (item := queue.pop(now + LEFTOVER)) is not None:
        found.append(item)
        queue.remove(item.pod.uid)
    assert sorted(item.pod.uid for item in found) == sorted(waiting)
    assert [item.pod.priority for item in found] == sorted((item.pod.priority for item in found), reverse=True)


def _end(queue: Queue, item: Waiting, how: str, blamed: frozenset[str], now: float, waiting: set[str]) -> None:
    if how == "bound":
        queue.remove(item.pod.uid)
        waiting.discard(item.pod.uid)
    elif how == "refused":
        queue.refused(item, blamed, now)
    else:
        queue.failed(item, now)


def test_every_blame_names_a_filter() -> None:
    assert {name for blamed in BLAMES for name in blamed} <= {item.name for item in FILTERS}
