"""The watch cache: what it shows, what it remembers, and lists that are read from it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from panal.controlplane.apiserver import keys
from panal.controlplane.apiserver.cache import WINDOW, Cache, Change
from panal.controlplane.apiserver.reading import Listed, Reader, selection
from panal.controlplane.apiserver.request import Query, parse
from panal.controlplane.apiserver.strategy import strategy_for
from panal.errors import Gone, Invalid, NotFound, StatusError
from panal.resources import CONFIGMAPS, NODES
from panal.tasks import cancel, spawn

from .conftest import World

PATH = "/api/v1/configmaps"
PLACE = keys.location(CONFIGMAPS)


def names(listed: Listed) -> list[str]:
    return [f"{item.namespace}/{item.name}" for item in listed.items]


async def read(world: World, query: str = "", path: str = PATH) -> Listed:
    asked = Query(query)
    chosen = selection(parse("GET", path, asked), asked, strategy_for(CONFIGMAPS).selectable_fields)
    return await Reader(world.cache, world.store).list(CONFIGMAPS, chosen, asked)


async def test_an_object_carries_the_revision_of_its_last_change(world: World) -> None:
    await world.put(CONFIGMAPS, "a", "shop", data={"x": "1"})
    revision = await world.put(CONFIGMAPS, "a", "shop", data={"x": "2"})
    item = world.cache.shelf(PLACE).get("shop", "a")
    assert item is not None
    assert item.decode()["metadata"]["resourceVersion"] == str(revision)
    assert item.decode()["data"] == {"x": "2"}
    await world.delete(CONFIGMAPS, "a", "shop")
    assert world.cache.shelf(PLACE).get("shop", "a") is None
    assert not world.cache.shelf(PLACE).has("shop")


async def test_subscribers_hear_of_their_namespace_only_until_they_stop(world: World) -> None:
    heard: list[tuple[str, str]] = []
    shelf = world.cache.shelf(PLACE)
    stop = shelf.subscribe("shop", lambda change: heard.append((change.kind, change.item.name)))
    await world.put(CONFIGMAPS, "a", "shop")
    await world.put(CONFIGMAPS, "b", "other")
    await world.put(CONFIGMAPS, "a", "shop", data={"x": "1"})
    await world.delete(CONFIGMAPS, "a", "shop")
    stop()
    await world.put(CONFIGMAPS, "c", "shop")
    assert heard == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_a_deleted_object_is_told_with_the_revision_of_its_deletion(world: World) -> None:
    heard: list[Change] = []
    world.cache.shelf(PLACE).subscribe("", heard.append)
    await world.put(CONFIGMAPS, "a", "shop", data={"x": "1"})
    gone = await world.delete(CONFIGMAPS, "a", "shop")
    event = orjson.loads(heard[-1].line)
    assert event["type"] == "DELETED"
    assert event["object"]["metadata"]["resourceVersion"] == str(gone)
    assert event["object"]["data"] == {"x": "1"}


async def test_changes_since_a_revision_are_all_there_or_gone(world: World) -> None:
    shelf = world.cache.shelf(PLACE)
    first = await world.put(CONFIGMAPS, "a", "shop")
    for index in range(WINDOW + 5):
        await world.put(CONFIGMAPS, "a", "shop", data={"x": str(index)})
    assert len(shelf.changes(world.cache.revision - 3)) == 3
    assert len(shelf.changes(shelf.oldest)) == WINDOW
    with pytest.raises(Gone, match=f"too old resource version: {first}"):
        shelf.changes(first)


async def test_a_new_cache_shows_what_the_store_has_and_replays_the_last_changes() -> None:
    world = World()
    key = PLACE.key("shop", "a")
    body = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"shop"}}'
    revision = await world.store.append(key, body, expect=0)
    cache = Cache(world.store)
    await cache.start()
    running = spawn(cache.run(), name="cache")
    await cache.reached(revision)
    assert [change.item.name for change in cache.shelf(PLACE).changes(0)] == ["a"]
    await cancel(running)


@pytest.fixture
async def filled(world: World) -> World:
    for namespace in ("b", "a"):
        for name in ("y", "x"):
            await world.put(CONFIGMAPS, name, namespace, labels={"app": name})
    return world


async def test_lists_are_in_the_order_of_the_keys_and_selected(filled: World) -> None:
    assert names(await read(filled)) == ["a/x", "a/y", "b/x", "b/y"]
    assert names(await read(filled, path="/api/v1/namespaces/b/configmaps")) == ["b/x", "b/y"]
    assert names(await read(filled, "labelSelector=app%3Dx")) == ["a/x", "b/x"]
    assert names(await read(filled, "fieldSelector=metadata.name%3Dy,metadata.namespace!%3Da")) == ["b/y"]


async def test_pages_show_the_moment_of_the_first(filled: World) -> None:
    first = await read(filled, "limit=3")
    assert (names(first), first.remaining) == (["a/x", "a/y", "b/x"], 1)
    await filled.delete(CONFIGMAPS, "y", "b")
    await filled.put(CONFIGMAPS, "z", "b")
    rest = await read(filled, f"limit=3&continue={first.token}")
    assert (names(rest), rest.token, rest.revision) == (["b/y"], "", first.revision)
    assert names(await read(filled)) == ["a/x", "a/y", "b/x", "b/z"]


async def test_an_exact_revision_shows_the_past_until_it_is_forgotten(filled: World) -> None:
    then = filled.cache.revision
    await filled.delete(CONFIGMAPS, "x", "a")
    exact = await read(filled, f"resourceVersion={then}&resourceVersionMatch=Exact")
    assert names(exact) == ["a/x", "a/y", "b/x", "b/y"]
    newer = await read(filled, f"resourceVersion={then}&resourceVersionMatch=NotOlderThan")
    assert names(newer) == ["a/y", "b/x", "b/y"]
    await filled.store.compact(filled.cache.revision)
    with pytest.raises(Gone):
        await read(filled, f"resourceVersion={then - 1}&resourceVersionMatch=Exact")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("resourceVersionMatch=Exact", "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ("resourceVersionMatch=Exact&resourceVersion=0", 'is forbidden for resourceVersion "0"'),
        ("resourceVersionMatch=Best&resourceVersion=1", 'Unsupported value: "Best"'),
        ("resourceVersionMatch=Exact&resourceVersion=1&continue=x", "is forbidden when continue is provided"),
    ],
)
async def test_matches_that_make_no_sense_are_invalid(filled: World, query: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        await read(filled, query)


async def test_a_revision_of_the_future_is_too_large(filled: World) -> None:
    with pytest.raises(StatusError) as caught:
        await read(filled, "resourceVersion=99999")
    assert (caught.value.code, caught.value.reason) == (504, "Timeout")


async def test_one_object_is_found_or_not(filled: World) -> None:
    reader = Reader(filled.cache, filled.store)
    assert reader.get(CONFIGMAPS, "a", "x").name == "x"
    await filled.put(NODES, "n")
    found: dict[str, Any] = reader.get(NODES, "whatever", "n").decode()
    assert found["metadata"]["name"] == "n"
    with pytest.raises(NotFound, match='configmaps "nada" not found'):
        reader.get(CONFIGMAPS, "a", "nada")
