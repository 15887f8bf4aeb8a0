"""What one watching client is shown, and how much waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from panal.controlplane.apiserver import keys, watching
from panal.controlplane.apiserver.flushing import Flusher
from panal.controlplane.apiserver.reading import selection
from panal.controlplane.apiserver.request import Query, parse
from panal.controlplane.apiserver.strategy import strategy_for
from panal.controlplane.apiserver.watching import Stream, Watch, bookmark_line
from panal.resources import CONFIGMAPS

from .conftest import World

PLACE = keys.location(CONFIGMAPS)


def stream(query: str = "", path: str = "/api/v1/configmaps", flusher: Flusher | None = None) -> Stream:
    asked = Query(query)
    chosen = selection(parse("GET", path, asked), asked, strategy_for(CONFIGMAPS).selectable_fields)
    watch = Watch(
        selection=chosen, since=0, bookmarks=False, initial_events_end=False, timeout=1, render=None,
        bookmark=lambda revision, end: bookmark_line("ConfigMap", "v1", revision, end),
    )  # fmt: skip
    return Stream(watch, flusher)


async def seen(client: Stream) -> list[tuple[str, str, str]]:
    """(type, name, revision) of everything that waits."""
    lines = (await client.take(0)).splitlines()
    events = [orjson.loads(line) for line in lines]
    return [
        (each["type"], each["object"]["metadata"]["name"], each["object"]["metadata"]["resourceVersion"])
        for each in events
    ]


async def test_without_a_selector_everything_is_shown_as_it_happens(world: World) -> None:
    client = stream()
    world.cache.shelf(PLACE).subscribe("", client.offer)
    await world.put(CONFIGMAPS, "a", "shop")
    await world.put(CONFIGMAPS, "a", "shop", data={"x": "1"})
    await world.delete(CONFIGMAPS, "a", "shop")
    assert await seen(client) == [("ADDED", "a", "1"), ("MODIFIED", "a", "2"), ("DELETED", "a", "3")]
    assert await seen(client) == []


async def test_with_a_selector_objects_come_into_view_and_leave_it(world: World) -> None:
    client = stream("labelSelector=app%3Dweb")
    world.cache.shelf(PLACE).subscribe("", client.offer)
    await world.put(CONFIGMAPS, "a", "shop")
    await world.put(CONFIGMAPS, "a", "shop", labels={"app": "web"})
    await world.put(CONFIGMAPS, "a", "shop", labels={"app": "web"}, data={"x": "1"})
    await world.put(CONFIGMAPS, "a", "shop", labels={"app": "db"})
    await world.put(CONFIGMAPS, "a", "shop", labels={"app": "web"})
    await world.delete(CONFIGMAPS, "a", "shop")
    assert await seen(client) == [
        ("ADDED", "a", "2"), ("MODIFIED", "a", "3"), ("DELETED", "a", "4"), ("ADDED", "a", "5"), ("DELETED", "a", "6"),
    ]  # fmt: skip


async def test_one_object_is_watched_by_its_name(world: World) -> None:
    client = stream("watch=1", "/api/v1/namespaces/shop/configmaps/b")
    world.cache.shelf(PLACE).subscribe("shop", client.offer)
    for name in ("a", "b", "c"):
        await world.put(CONFIGMAPS, name, "shop")
    assert [name for _, name, _ in await seen(client)] == ["b"]


async def test_a_client_that_does_not_read_is_dropped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PENDING_LIMIT", 500)
    client = stream()
    world.cache.shelf(PLACE).subscribe("", client.offer)
    await world.put(CONFIGMAPS, "a", "shop")
    assert not client.dropped
    for _ in range(9):
        await world.put(CONFIGMAPS, "a", "shop")
    assert client.dropped


async def test_all_clients_share_one_encoded_line(world: World) -> None:
    changes: list[Any] = []
    world.cache.shelf(PLACE).subscribe("", changes.append)
    await world.put(CONFIGMAPS, "a", "shop")
    assert changes[0].line is changes[0].line


def test_bookmarks_carry_a_revision_and_the_end_of_the_initial_events() -> None:
    plain, end = (orjson.loads(bookmark_line("Pod", "v1", 7, which)) for which in (False, True))
    assert plain == {
        "type": "BOOKMARK",
        "object": {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": "7", "creationTimestamp": None}},
    }
    assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


class Written:
    """A connection's transport that keeps what is written; `behind` is what its client has not read."""

    def __init__(self, behind: int = 0) -> None:
        self.chunks: list[bytes] = []
        self.behind = behind

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return self.behind

    def write(self, chunk: bytes) -> None:
        self.chunks.append(chunk)


async def test_those_who_keep_up_get_one_chunk_and_the_others_wait(world: World) -> None:
    changes: list[Any] = []
    world.cache.shelf(PLACE).subscribe("", changes.append)
    await world.put(CONFIGMAPS, "a", "shop")
    flusher = Flusher()
    transports: list[Any] = [Written(), Written(), Written(watching.BEHIND + 1), Written()]
    clients = [stream(flusher=flusher) for _ in transports]
    for client, transport in zip(clients, transports, strict=True):
        client.transport = transport
        client.offer(changes[0])
    clients[3].transport = None  # its watch has ended meanwhile
    async with asyncio.timeout(10):
        while not transports[0].chunks or not transports[1].chunks:
            await asyncio.sleep(0)
    (chunk,) = transports[0].chunks
    assert transports[1].chunks[0] is chunk
    size, _, line = chunk.partition(b"\r\n")
    assert (int(size, 16), line[-2:]) == (len(line) - 2, b"\r\n")
    assert orjson.loads(line)["object"]["metadata"]["name"] == "a"
    assert (transports[2].chunks, transports[3].chunks) == ([], [])
    assert [name for _, name, _ in await seen(clients[2])] == ["a"]
    assert await seen(clients[0]) == []
