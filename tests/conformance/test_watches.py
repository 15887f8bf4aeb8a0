"""Watches: what they begin with, how they tell that they are up to date, in which forms, and how they end."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import orjson
import pytest

from .conftest import MERGE, Api

STREAM = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
INITIAL_END = {"k8s.io/initial-events-end": "true"}


def maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


async def made(api: Api, namespace: str, *names: str, **metadata: Any) -> None:
    for name in names:
        (await api.create(maps(namespace), {"metadata": {"name": name, **metadata}})).ok()


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


async def test_a_streaming_list_is_everything_and_then_a_bookmark(api: Api, namespace: str) -> None:
    await made(api, namespace, "a", "b", labels={"of": "me"})
    async with api.watch(f"{maps(namespace)}?{STREAM}&labelSelector=of%3Dme") as events:
        seen = await events.take(3)
        assert kinds(seen) == ["ADDED", "ADDED", "BOOKMARK"]
        bookmark = seen[-1]["object"]
        assert bookmark["metadata"]["annotations"] == INITIAL_END
        assert (bookmark["kind"], bookmark["apiVersion"]) == ("ConfigMap", "v1")
        await made(api, namespace, "c", labels={"of": "me"})
        later = await events.next()
    assert (later["type"], later["object"]["metadata"]["name"]) == ("ADDED", "c")
    assert int(later["object"]["metadata"]["resourceVersion"]) > int(bookmark["metadata"]["resourceVersion"])


@pytest.mark.parametrize("kind", ["PartialObjectMetadata", "Table"])
async def test_a_streaming_list_in_another_form_ends_with_a_bookmark_too(api: Api, namespace: str, kind: str) -> None:
    await made(api, namespace, "a", labels={"of": "me"})
    accept = f"application/json;as={kind};g=meta.k8s.io;v=v1"
    async with api.watch(f"{maps(namespace)}?{STREAM}&labelSelector=of%3Dme", Accept=accept) as events:
        first, bookmark = await events.take(2)
    assert kinds([first, bookmark]) == ["ADDED", "BOOKMARK"]
    assert first["object"]["kind"] == bookmark["object"]["kind"] == kind
    assert bookmark["object"]["metadata"]["resourceVersion"]
    if kind == "Table":
        assert [row["object"]["metadata"]["annotations"] for row in bookmark["object"]["rows"]] == [INITIAL_END]
    else:
        assert bookmark["object"]["metadata"]["annotations"] == INITIAL_END


async def test_a_watch_without_a_revision_begins_with_everything(api: Api, namespace: str) -> None:
    await made(api, namespace, "a", labels={"of": "me"})
    for query in ("", "&resourceVersion=0"):
        async with api.watch(f"{maps(namespace)}?labelSelector=of%3Dme{query}") as events:
            assert (await events.next())["object"]["metadata"]["name"] == "a"


async def test_a_watch_that_wants_no_initial_events_gets_none(api: Api, namespace: str) -> None:
    await made(api, namespace, "a")
    query = "sendInitialEvents=false&resourceVersionMatch=NotOlderThan"
    async with api.watch(f"{maps(namespace)}?{query}") as events:
        await made(api, namespace, "z")
        assert (await events.next())["object"]["metadata"]["name"] == "z"


async def test_a_watch_goes_on_where_a_list_ended(api: Api, namespace: str) -> None:
    await made(api, namespace, "a")
    since = (await api.get(maps(namespace))).revision
    await api.patch(f"{maps(namespace)}/a", {"data": {"x": "1"}}, MERGE)
    await api("DELETE", f"{maps(namespace)}/a")
    async with api.watch(f"{maps(namespace)}?resourceVersion={since}") as events:
        seen = await events.take(2)
    assert kinds(seen) == ["MODIFIED", "DELETED"]
    revisions = [int(event["object"]["metadata"]["resourceVersion"]) for event in seen]
    assert int(since) < revisions[0] < revisions[1]


async def test_a_field_selector_watches_one_object(api: Api, namespace: str) -> None:
    since = (await api.get(maps(namespace))).revision
    path = f"{maps(namespace)}?resourceVersion={since}&fieldSelector=metadata.name%3Db&timeoutSeconds=1"
    async with api.watch(path) as events:
        await made(api, namespace, "a", "b", "c")
        seen = await events.rest()
    assert [event["object"]["metadata"]["name"] for event in seen] == ["b"]


async def test_a_watch_of_one_object_by_another_name_is_refused(api: Api, namespace: str) -> None:
    answer = await api.get(f"{maps(namespace)}/a?watch=1&fieldSelector=metadata.name%3Db")
    assert (answer.status, answer.message) == (400, "fieldSelector metadata.name doesn't match requested name")


async def test_a_watch_ends_in_time_with_a_bookmark(api: Api, namespace: str) -> None:
    await made(api, namespace, "a")
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with api.watch(
        f"{maps(namespace)}?allowWatchBookmarks=true&timeoutSeconds=1&fieldSelector=metadata.name%3Da"
    ) as events:
        seen = await events.rest()
    assert kinds(seen)[0] == "ADDED"
    assert loop.time() - began < 15
    assert set(kinds(seen)[1:]) <= {"BOOKMARK"}


async def test_metadata_only_events(api: Api, namespace: str) -> None:
    await made(api, namespace, "a")
    accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    async with api.watch(f"{maps(namespace)}?fieldSelector=metadata.name%3Da", Accept=accept) as events:
        event = await events.next()
    assert set(event["object"]) == {"kind", "apiVersion", "metadata"}


async def test_table_events_have_their_columns_once(api: Api, namespace: str) -> None:
    await made(api, namespace, "a", "b", labels={"of": "me"})
    accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
    async with api.watch(f"{maps(namespace)}?labelSelector=of%3Dme", Accept=accept) as events:
        first, second = await events.take(2)
    assert [column["name"] for column in first["object"]["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert not second["object"].get("columnDefinitions")
    assert [event["object"]["rows"][0]["cells"][0] for event in (first, second)] == ["a", "b"]


async def test_a_watch_in_nonsense_is_refused_before_it_begins(api: Api) -> None:
    for query, status in (("resourceVersion=x", 400), ("labelSelector=a%20b%20c", 400), ("timeoutSeconds=x", 400)):
        assert (await api.get(f"/api/v1/configmaps?watch=1&{query}")).status == status, query


@pytest.mark.skipif(not os.environ.get("PANAL_TEST_ALL"), reason="writes thousands of times")
async def test_a_watch_of_the_long_gone_says_so_and_a_list_recovers(api: Api, namespace: str) -> None:
    path = maps(namespace)
    await made(api, namespace, "a")

    async def write(name: str) -> None:
        (await api.create(path, {"metadata": {"name": name}})).ok()
        for number in range(110):
            await api.patch(f"{path}/{name}", {"data": {"n": str(number)}}, MERGE)

    since = (await api.get(path)).revision
    async with asyncio.timeout(100):
        while True:
            await asyncio.gather(
                *(write(f"w{number}-{since}-{asyncio.get_running_loop().time()}") for number in range(20))
            )
            async with api.watch(f"{path}?resourceVersion={since}") as events:
                event = await events.next()
            if event["type"] == "ERROR":
                break
    status = event["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert status["message"].startswith("too old resource version: ")
    again = (await api.get(path)).revision
    async with api.watch(f"{path}?resourceVersion={again}") as events:
        await made(api, namespace, "z")
        assert (await events.next())["object"]["metadata"]["name"] == "z"


async def test_a_protobuf_watch_is_framed(api: Api, namespace: str) -> None:
    await made(api, namespace, "a")
    accept = "application/vnd.kubernetes.protobuf"
    async with api.watch(f"{maps(namespace)}?fieldSelector=metadata.name%3Da", Accept=accept) as events:
        assert events.answer.headers["Content-Type"] == "application/vnd.kubernetes.protobuf;stream=watch"
        async with asyncio.timeout(20):
            length = int.from_bytes(await events.answer.content.readexactly(4), "big")
            frame = await events.answer.content.readexactly(length)
    assert b"ADDED" in frame
    assert b"k8s\0" in frame


async def test_a_line_is_an_event(api: Api, namespace: str) -> None:
    await made(api, namespace, "a")
    async with api.watch(f"{maps(namespace)}?fieldSelector=metadata.name%3Da") as events:
        assert events.answer.headers["Content-Type"] == "application/json"
        line = await events.answer.content.readline()
    assert set(orjson.loads(line)) == {"type", "object"}
