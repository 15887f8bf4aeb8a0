"""Custom kinds defined while the controller manager runs: owner references, namespaces, quotas."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from panal.client import Client
from panal.errors import Forbidden, NotFound, StatusError
from panal.resources import CONFIGMAPS, DEPLOYMENTS, NAMESPACES, RESOURCEQUOTAS, Resource, resource

from .test_cluster import deployment

Object = dict[str, Any]
Eventually = Callable[..., Awaitable[Any]]
DEFINITIONS = resource("customresourcedefinitions", "apiextensions.k8s.io")


@pytest.fixture(scope="module")
def plane(bare_plane: Any) -> Any:
    """The API server and the controller manager; no scheduler, no nodes."""
    bare_plane.start("kube-controller-manager", "panal.controlplane.controllers")
    return bare_plane


def kind(group: str, *versions: str) -> Resource:
    return Resource(group, versions[0] if versions else "v1", "things", "Thing", True)


async def define(client: Client, group: str, *versions: str) -> Resource:
    """Define things of the group, served once this returns."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = [
        {"name": name, "served": True, "storage": number == 0, "schema": {"openAPIV3Schema": schema}}
        for number, name in enumerate(versions or ("v1",))
    ]
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": served,
        },
    }
    await client.create(DEFINITIONS, definition)
    found = kind(group, *versions)
    while True:
        try:
            await client.list(found, "default")
            return found
        except StatusError:
            await asyncio.sleep(0.02)


def thing(of: Resource, name: str, owner: Object | None = None, **metadata: Any) -> Object:
    owners = {"ownerReferences": [owned_by(owner)]} if owner else {}
    return {"apiVersion": of.api_version, "kind": of.kind, "metadata": {"name": name, **owners, **metadata}}


def owned_by(owner: Object) -> Object:
    meta = owner["metadata"]
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"]}


async def gone(client: Client, of: Resource, name: str, namespace: str) -> bool:
    try:
        await client.get(of, name, namespace)
    except NotFound:
        return True
    return False


async def test_a_configmap_goes_with_the_custom_object_that_owns_it(
    client: Client, namespace: str, eventually: Eventually
) -> None:
    things = await define(client, "owners.example.com")
    owner = await client.create(things, thing(things, "owner"), namespace)
    for name in ("a", "b"):
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "ownerReferences": [owned_by(owner)]},
        }
        await client.create(CONFIGMAPS, body, namespace)
    await client.delete(things, "owner", namespace)
    for name in ("a", "b"):
        await eventually(lambda name=name: gone(client, CONFIGMAPS, name, namespace))


async def test_a_custom_object_goes_with_the_deployment_that_owns_it(
    client: Client, namespace: str, eventually: Eventually
) -> None:
    things = await define(client, "owned.example.com")
    owner = await client.create(DEPLOYMENTS, deployment("owner", replicas=0), namespace)
    await client.create(things, thing(things, "owned", owner), namespace)
    await client.create(things, thing(things, "free"), namespace)
    await client.delete(DEPLOYMENTS, "owner", namespace)
    await eventually(lambda: gone(client, things, "owned", namespace))
    assert not await gone(client, things, "free", namespace)


async def test_owners_are_followed_when_a_kind_gets_another_version(
    client: Client, namespace: str, eventually: Eventually
) -> None:
    old = await define(client, "renewed.example.com", "v1", "v2")
    owner = await client.create(old, thing(old, "owner"), namespace)
    owned = await client.create(old, thing(old, "owned", owner), namespace)
    versions = (await client.get(DEFINITIONS, "things.renewed.example.com"))["spec"]["versions"]
    versions[0].update(served=False, storage=False)
    versions[1].update(storage=True)
    await client.patch(DEFINITIONS, "things.renewed.example.com", {"spec": {"versions": versions}})
    new = kind("renewed.example.com", "v2")
    await eventually(lambda: _same(client, new, owned, namespace))
    await client.delete(new, "owner", namespace)
    await eventually(lambda: gone(client, new, "owned", namespace))


async def _same(client: Client, of: Resource, obj: Object, namespace: str) -> bool:
    try:
        found = await client.get(of, obj["metadata"]["name"], namespace)
    except NotFound:
        return False
    return bool(found["metadata"]["uid"] == obj["metadata"]["uid"])


async def test_a_namespace_takes_its_custom_objects_along(client: Client, eventually: Eventually) -> None:
    things = await define(client, "spaces.example.com")
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ending"}})
    await client.create(things, thing(things, "plain"), "ending")
    await client.create(things, thing(things, "held", finalizers=["example.com/hold"]), "ending")
    await client.delete(NAMESPACES, "ending")
    await eventually(lambda: gone(client, things, "plain", "ending"))

    async def told() -> bool:
        found = await client.get(NAMESPACES, "ending")
        conditions = {item["type"]: item for item in found["status"].get("conditions") or ()}
        held = conditions.get("NamespaceFinalizersRemaining", {})
        return held.get("status") == "True" and "example.com/hold in 1 resource instances" in held["message"]

    await eventually(told)
    await client.patch(things, "held", {"metadata": {"finalizers": None}}, "ending")
    await eventually(lambda: gone(client, NAMESPACES, "ending", ""))


async def test_a_quota_counts_custom_objects_of_kinds_defined_before_and_after_it(
    client: Client, namespace: str, eventually: Eventually
) -> None:
    entry = "count/things.counted.example.com"
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {entry: "2"}}}
    await client.create(RESOURCEQUOTAS, quota, namespace)

    async def used(amount: str) -> bool:
        found = await client.get(RESOURCEQUOTAS, "q", namespace)
        return bool(found.get("status", {}).get("used", {}).get(entry) == amount)

    await eventually(lambda: used("0"))
    things = await define(client, "counted.example.com")
    await client.create(things, thing(things, "a"), namespace)
    await client.create(things, thing(things, "b"), namespace)
    await eventually(lambda: used("2"))
    with pytest.raises(
        Forbidden, match=f"exceeded quota: q, requested: {entry}=1, used: {entry}=2, limited: {entry}=2"
    ):
        await client.create(things, thing(things, "c"), namespace)
    await client.delete(things, "a", namespace)
    await eventually(lambda: used("1"))
    await client.delete(DEFINITIONS, "things.counted.example.com")
    await eventually(lambda: used("0"))
