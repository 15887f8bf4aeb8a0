"""Clients that speak protobuf, as typed Go clients do, against a real server process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest

from panal.controlplane.apiserver import protobuf
from panal.controlplane.apiserver.protobuf.decode import Decoder
from panal.controlplane.apiserver.protobuf.table import table

if TYPE_CHECKING:
    from .conftest import ApiServer

MEDIA = "application/vnd.kubernetes.protobuf"
PREFERRED = f"{MEDIA},application/json"
MAPS = "/api/v1/namespaces/default/configmaps"
WATCH_EVENT = "k8s.io.apimachinery.pkg.apis.meta.v1.WatchEvent"


class Typed:
    """A client that sends protobuf and prefers it in answers."""

    def __init__(self, server: ApiServer, session: aiohttp.ClientSession, context: Any) -> None:
        self._server, self._session, self._context = server, session, context

    async def __call__(
        self, method: str, path: str, body: Any = None, *, accept: str = PREFERRED, content: str = MEDIA
    ) -> tuple[int, str, Any]:
        """Status, media type and the decoded answer."""
        data = protobuf.encode(body) if isinstance(body, dict) else body
        headers = {"Accept": accept, **({} if data is None else {"Content-Type": content})}
        async with self._session.request(
            method, self._server.url + path, data=data, headers=headers, ssl=self._context
        ) as answer:
            raw = await answer.read()
            return (
                answer.status,
                answer.content_type,
                protobuf.decode(raw) if raw[:4] == b"k8s\0" else orjson.loads(raw),
            )

    def stream(self, path: str, accept: str = f"{MEDIA};stream=watch,{MEDIA}") -> Any:
        return self._session.get(self._server.url + path, headers={"Accept": accept}, ssl=self._context)


@pytest.fixture
async def typed(apiserver: ApiServer) -> AsyncIterator[Typed]:
    async with aiohttp.ClientSession() as session:
        yield Typed(apiserver, session, apiserver.ssl())
    await asyncio.sleep(0.01)  # TLS connections end one loop later than their session


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": data}


async def event(stream: aiohttp.ClientResponse) -> tuple[str, dict[str, Any]]:
    """The next frame of a watch."""
    length = int.from_bytes(await stream.content.readexactly(4), "big")
    frame = await stream.content.readexactly(length)
    found = Decoder(frame, protobuf.decode).message(table().message(WATCH_EVENT), 0, length)
    return found["type"], found["object"]


async def test_an_object_is_created_read_changed_and_deleted(typed: Typed) -> None:
    code, media, made = await typed("POST", MAPS, config_map("life", a="1"))
    assert (code, media) == (201, MEDIA)
    assert made["metadata"]["resourceVersion"]
    assert made["metadata"]["managedFields"][0]["fieldsV1"]["f:data"] == {".": {}, "f:a": {}}
    code, media, changed = await typed("PUT", f"{MAPS}/life", {**made, "data": {"a": "2"}})
    assert (code, media, changed["data"]) == (200, MEDIA, {"a": "2"})
    assert (await typed("GET", f"{MAPS}/life"))[2] == changed
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "someone else"}}
    code, media, status = await typed("DELETE", f"{MAPS}/life", options)
    assert (code, media, status["reason"]) == (409, MEDIA, "Conflict")
    code, media, status = await typed(
        "DELETE", f"{MAPS}/life", {**options, "preconditions": {"uid": made["metadata"]["uid"]}}
    )
    assert (code, media, status["kind"], status["status"]) == (200, MEDIA, "Status", "Success")


async def test_what_protobuf_stored_equals_what_json_stores(typed: Typed) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    body = {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": "alike"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template},
    }
    path = "/apis/apps/v1/namespaces/default/deployments?dryRun=All"
    _, _, one = await typed("POST", path, body, accept="application/json")
    _, _, other = await typed("POST", path, orjson.dumps(body), accept="application/json", content="application/json")
    for made in (one, other):
        for key in ("uid", "creationTimestamp", "managedFields"):
            del made["metadata"][key]
    assert one == other
    assert one["spec"]["replicas"] == 0


async def test_lists_and_metadata_are_answered_in_protobuf_and_tables_in_json(typed: Typed) -> None:
    await typed("POST", MAPS, config_map("listed", a="1"))
    code, media, found = await typed("GET", MAPS)
    assert (code, media, found["kind"]) == (200, MEDIA, "ConfigMapList")
    assert "listed" in [item["metadata"]["name"] for item in found["items"]]
    partial = f"{MEDIA};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    _, media, found = await typed("GET", MAPS, accept=partial)
    assert (media, found["kind"]) == (MEDIA, "PartialObjectMetadataList")
    assert all("data" not in item for item in found["items"])
    table = "as=Table;g=meta.k8s.io;v=v1"
    _, media, found = await typed("GET", MAPS, accept=f"{MEDIA};{table},application/json;{table}")
    assert (media, found["kind"]) == ("application/json", "Table")


async def test_what_is_served_is_told_in_protobuf_too(typed: Typed) -> None:
    for path, kind in (("/api", "APIVersions"), ("/apis", "APIGroupList"), ("/api/v1", "APIResourceList")):
        code, media, found = await typed("GET", path)
        assert (code, media, found["kind"]) == (200, MEDIA, kind)


async def test_a_watch_is_a_stream_of_frames(typed: Typed) -> None:
    path = f"{MAPS}?watch=1&fieldSelector=metadata.name%3Dframed&allowWatchBookmarks=true&sendInitialEvents=true"
    async with typed.stream(f"{path}&resourceVersionMatch=NotOlderThan") as stream:
        assert stream.headers["Content-Type"] == f"{MEDIA};stream=watch"
        kind, bookmark = await event(stream)
        assert (kind, bookmark["metadata"]["annotations"]) == ("BOOKMARK", {"k8s.io/initial-events-end": "true"})
        _, _, made = await typed("POST", MAPS, config_map("framed", a="1"))
        assert await event(stream) == ("ADDED", made)
        await typed("DELETE", f"{MAPS}/framed")
        kind, gone = await event(stream)
        assert (kind, gone["metadata"]["name"]) == ("DELETED", "framed")


async def test_a_watch_of_metadata_is_framed_too(typed: Typed) -> None:
    accept = f"{MEDIA};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    await typed("POST", MAPS, config_map("partial", a="1"))
    async with typed.stream(f"{MAPS}?watch=1&fieldSelector=metadata.name%3Dpartial", accept) as stream:
        kind, found = await event(stream)
    assert (kind, found["kind"], found["metadata"]["name"]) == ("ADDED", "PartialObjectMetadata", "partial")
    assert "data" not in found


async def test_errors_are_protobuf_to_who_prefers_it(typed: Typed) -> None:
    code, media, status = await typed("GET", f"{MAPS}/nobody")
    assert (code, media) == (404, MEDIA)
    assert status["message"] == 'configmaps "nobody" not found'
    assert status["details"] == {"name": "nobody", "kind": "configmaps"}


async def test_a_token_is_requested_in_protobuf(typed: Typed) -> None:
    account = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "typed"}}
    assert (await typed("POST", "/api/v1/namespaces/default/serviceaccounts", account))[0] == 201
    request = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {"expirationSeconds": 700}}
    code, media, made = await typed("POST", "/api/v1/namespaces/default/serviceaccounts/typed/token", request)
    assert (code, media, made["spec"]["expirationSeconds"]) == (201, MEDIA, 700)
    assert made["status"]["token"].count(".") == 2


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "(must be of type ConfigMap): empty data (<empty>)"),
        (
            b"{}",
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] (0x7b7d)",
        ),
        (b"k8s\0\x0a\xff", "(must be of type ConfigMap): unexpected EOF (0x6b3873000aff)"),
        (
            b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x02\x0a\x09",
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: unexpected EOF',
        ),
        (
            b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x02\x08\x09",
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: proto: wrong wireType = 0 for field Metadata',
        ),
    ],
)
async def test_what_is_no_protobuf_is_a_bad_request(typed: Typed, body: bytes, words: str) -> None:
    code, _, status = await typed("POST", MAPS, body)
    assert (code, status["reason"]) == (400, "BadRequest")
    assert words in status["message"]


async def test_another_kind_than_the_path_says_is_refused(typed: Typed) -> None:
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a"}}
    code, _, status = await typed("POST", MAPS, secret)
    assert (code, status["reason"]) == (400, "BadRequest")


async def test_other_media_types_are_refused_as_in_kubernetes(typed: Typed) -> None:
    code, _, status = await typed("POST", MAPS, b"x", content="application/cbor")
    assert (code, status["reason"]) == (415, "UnsupportedMediaType")
    code, _, status = await typed("GET", MAPS, accept="text/plain")
    assert (code, status["reason"]) == (406, "NotAcceptable")
    code, _, status = await typed("GET", MAPS, accept=f"{MEDIA};as=Table;g=meta.k8s.io;v=v1")
    assert (code, status["reason"]) == (406, "NotAcceptable")


async def test_discovery_is_answered_in_protobuf(typed: Typed) -> None:
    _, media, groups = await typed("GET", "/apis")
    assert (media, groups["kind"]) == (MEDIA, "APIGroupList")
    assert "apps" in [group["name"] for group in groups["groups"]]
    _, media, resources = await typed("GET", "/apis/apps/v1")
    assert media == MEDIA
    verbs = next(each["verbs"] for each in resources["resources"] if each["name"] == "deployments")
    assert "deletecollection" in verbs
