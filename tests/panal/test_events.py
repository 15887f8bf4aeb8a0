"""The recorder with a client that remembers, and loses what it is told to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from panal.errors import NotFound
from panal.events import Recorder

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop", "uid": "u"}}


class Memory:
    def __init__(self) -> None:
        self.events: dict[str, Any] = {}

    async def create(self, resource: Any, event: Any, namespace: str) -> None:
        assert event["metadata"]["namespace"] == namespace
        self.events[event["metadata"]["name"]] = event

    async def patch(self, resource: Any, name: str, patch: Any, namespace: str) -> None:
        if name not in self.events:
            raise NotFound("gone")
        self.events[name] = {**self.events[name], **patch}


async def told(recorder: Recorder) -> None:
    while not recorder._queue.empty():
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_repeated_event_is_one_with_a_count_and_begins_anew_when_it_has_expired() -> None:
    memory: Any = Memory()
    recorder = Recorder(memory, "kubelet", "a")
    for _ in range(3):
        recorder.event(POD, "Warning", "BackOff", "again")
    await told(recorder)
    (only,) = memory.events.values()
    assert (only["count"], only["source"], only["eventTime"]) == (3, {"component": "kubelet", "host": "a"}, None)
    memory.events.clear()
    recorder.event(POD, "Warning", "BackOff", "again")
    await told(recorder)
    (only,) = memory.events.values()
    assert only["count"] == 1
    await recorder.close()


@pytest.mark.parametrize("times", [1, 4])
async def test_an_event_of_the_newer_kind_repeats_as_a_series(times: int) -> None:
    memory: Any = Memory()
    recorder = Recorder(memory, "default-scheduler", "nodo1", series=True)
    for _ in range(times):
        recorder.event(POD, "Warning", "FailedScheduling", "0/1 nodes", action="Scheduling")
    await told(recorder)
    (only,) = memory.events.values()
    assert only.get("series", {}).get("count", 1) == times
    assert "count" not in only
    assert (only["action"], only["reportingInstance"], only["source"]) == ("Scheduling", "default-scheduler-nodo1", {})
    assert len(only["eventTime"]) == len("2026-11-24T00:00:00.000000Z")
    await recorder.close()
