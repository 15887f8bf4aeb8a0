"""The client against a real API server: every verb, errors as exceptions, and a server that goes away."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from panal.client import Client, Unreachable, until_reachable
from panal.errors import AlreadyExists, Conflict, Forbidden, NotFound
from panal.kubeconfig import Access
from panal.resources import CONFIGMAPS, NAMESPACES, SERVICEACCOUNTS


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


async def test_an_object_through_every_verb(client: Client) -> None:
    made = await client.create(CONFIGMAPS, config_map("verbs", a="1"))
    with pytest.raises(AlreadyExists):
        await client.create(CONFIGMAPS, config_map("verbs"))
    patched = await client.patch(CONFIGMAPS, "verbs", {"data": {"b": "2"}}, "default")
    assert patched["data"] == {"a": "1", "b": "2"}
    with pytest.raises(Conflict):
        await client.update(CONFIGMAPS, {**made, "data": {"c": "3"}})
    patched["data"]["c"] = "3"
    assert (await client.update(CONFIGMAPS, patched))["data"] == {"a": "1", "b": "2", "c": "3"}
    json_patch = [{"op": "remove", "path": "/data/a"}]
    assert "a" not in (await client.patch(CONFIGMAPS, "verbs", json_patch, "default", kind="json"))["data"]
    applied = await client.apply(CONFIGMAPS, config_map("verbs", b="9"), manager="test")
    assert applied["data"]["b"] == "9"
    names = [item["metadata"]["name"] for item in (await client.list(CONFIGMAPS, "default"))["items"]]
    assert "verbs" in names
    await client.delete(CONFIGMAPS, "verbs", "default")
    with pytest.raises(NotFound, match='configmaps "verbs" not found'):
        await client.get(CONFIGMAPS, "verbs", "default")


async def test_a_watch_tells_what_happens_after_a_revision(client: Client) -> None:
    version = (await client.list(CONFIGMAPS, "default"))["metadata"]["resourceVersion"]
    await client.create(CONFIGMAPS, config_map("seen", a="1"))
    await client.patch(CONFIGMAPS, "seen", {"data": {"a": "2"}}, "default")
    await client.delete(CONFIGMAPS, "seen", "default")
    told = []
    async with client.watch(
        CONFIGMAPS, "default", resource_version=version, field_selector="metadata.name=seen"
    ) as events:
        async with contextlib.aclosing(events) as stream:  # type: ignore[type-var]
            async for kind, obj in stream:
                told.append((kind, obj["data"]["a"]))
                if kind == "DELETED":
                    break
    assert told == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")]


async def test_an_unknown_user_is_forbidden_in_kubernetes_words(api_server: Any) -> None:
    async with Client.from_kubeconfig(api_server.user("nobody")) as nobody:
        with pytest.raises(Forbidden, match='User "nobody" cannot list resource "configmaps"'):
            await nobody.list(CONFIGMAPS, "default")


async def test_a_service_accounts_token_is_accepted(client: Client, api_server: Any) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": "default"}}
    await client.create(SERVICEACCOUNTS, account)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await client.create(SERVICEACCOUNTS, request, "default", name="robot", subresource="token")
    how = Access(server=api_server.url, ca=api_server.authority.certificate, token=answer["status"]["token"])
    async with Client(how) as robot:
        with pytest.raises(Forbidden, match="system:serviceaccount:default:robot"):
            await robot.list(CONFIGMAPS, "default")


@pytest.mark.parametrize("name", ["", ".", ".."])
async def test_a_name_cannot_leave_its_place_in_the_path(client: Client, name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        await client.get(NAMESPACES, name)


async def test_a_strange_name_is_one_segment(client: Client) -> None:
    with pytest.raises(NotFound, match="a/b"):
        await client.get(CONFIGMAPS, "a/b", "default")


async def test_a_server_that_is_away_is_unreachable(unused_tcp_port: int) -> None:
    async with Client(Access(server=f"https://127.0.0.1:{unused_tcp_port}")) as client:
        with pytest.raises(Unreachable):
            await client.list(CONFIGMAPS)
        with pytest.raises(Unreachable, match="did not become ready"):
            await asyncio.wait_for(until_reachable(client, seconds=0.2), 5)
