"""The informer against a real API server that is killed and loses its history meanwhile."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from panal import tasks
from panal.client import Client
from panal.events import Recorder
from panal.informer import Applied, Deleted, Delta, Informer
from panal.resources import CONFIGMAPS, EVENTS


def config_map(name: str, value: str = "1") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", "labels": {"test": "informer"}},
        "data": {"a": value},
    }


@asynccontextmanager
async def running(informer: Informer) -> AsyncIterator[Informer]:
    task = tasks.spawn(informer.run(), name="informer")
    await asyncio.wait_for(informer.synced(), 10)
    try:
        yield informer
    finally:
        await tasks.cancel(task)


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.01)


def story(deltas: list[Delta]) -> list[str]:
    return [
        f"+{d.new['metadata']['name']}={d.new['data']['a']}"
        if isinstance(d, Applied)
        else f"-{d.old['metadata']['name']}"
        for d in deltas
    ]


async def test_handlers_hear_what_is_there_and_what_changes(client: Client) -> None:
    await client.create(CONFIGMAPS, config_map("early"))
    informer = Informer(client, CONFIGMAPS, namespace="default", label_selector="test=informer")
    heard: list[Delta] = []
    async with running(informer):
        informer.subscribe(heard.append)
        await client.patch(CONFIGMAPS, "early", {"data": {"a": "2"}}, "default")
        await client.create(CONFIGMAPS, config_map("late"))
        await client.delete(CONFIGMAPS, "early", "default")
        await until(lambda: len(heard) == 4)
        assert story(heard) == ["+early=1", "+early=2", "+late=1", "-early"]
        assert informer.get("default", "early") is None
        assert [obj["metadata"]["name"] for obj in informer.all()] == ["late"]
        assert isinstance(heard[1], Applied)
        assert heard[1].old is not None
        assert isinstance(heard[3], Deleted)
    await client.delete(CONFIGMAPS, "late", "default")


async def test_what_happened_while_the_server_was_away_is_caught_up_with(client: Client, api_server: Any) -> None:
    informer = Informer(client, CONFIGMAPS, namespace="default", label_selector="test=informer")
    heard: list[Delta] = []
    async with running(informer):
        informer.subscribe(heard.append)
        await client.create(CONFIGMAPS, config_map("before"))
        await until(lambda: len(heard) == 1)
        api_server.stop(signal.SIGKILL)
        await asyncio.sleep(0.1)
        api_server.start()
        async with Client.from_kubeconfig(api_server.user("admin", "system:masters")) as other:
            await other.create(CONFIGMAPS, config_map("after"))
        await until(lambda: len(heard) == 2)
        assert story(heard) == ["+before=1", "+after=1"]
    for name in ("before", "after"):
        await client.delete(CONFIGMAPS, name, "default")


async def test_a_failing_handler_does_not_stop_the_others(client: Client) -> None:
    informer = Informer(client, CONFIGMAPS, namespace="default", label_selector="test=informer")
    heard: list[Delta] = []

    def fail(delta: Delta) -> None:
        raise RuntimeError("a bug in a handler")

    async with running(informer):
        informer.subscribe(fail)
        informer.subscribe(heard.append)
        await client.create(CONFIGMAPS, config_map("heard"))
        await until(lambda: len(heard) == 1)
    await client.delete(CONFIGMAPS, "heard", "default")


async def test_an_event_that_repeats_is_counted_and_not_written_again(client: Client) -> None:
    recorder = Recorder(client, "tester", "nodo1")
    target = await client.create(CONFIGMAPS, config_map("target"))
    for _ in range(3):
        recorder.event(target, "Warning", "Broken", "it broke")
    recorder.event(target, "Normal", "Mended", "it works")

    async def written() -> dict[str, int]:
        events = (await client.list(EVENTS, "default"))["items"]
        return {e["reason"]: e["count"] for e in events if e["involvedObject"]["name"] == "target"}

    async with asyncio.timeout(10):
        while await written() != {"Broken": 3, "Mended": 1}:
            await asyncio.sleep(0.02)
    await recorder.close()
    await client.delete(CONFIGMAPS, "target", "default")
