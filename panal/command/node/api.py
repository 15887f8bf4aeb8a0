"""The administrator's client of a cluster that runs here, and objects made where they are missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from panal import resources
from panal.client import Client, Unreachable
from panal.errors import AlreadyExists, StatusError
from panal.paths import ClusterPaths

from ..failure import Failure

T = TypeVar("T")
Object = dict[str, Any]


def administer(paths: ClusterPaths, work: Callable[[Client], Awaitable[T]]) -> T:
    """What `work` returns, done with the administrator's rights. Raises Failure."""

    async def run() -> T:
        async with Client.from_kubeconfig(paths.kubeconfig, user_agent="panal") as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except Unreachable as error:
        raise Failure(f"the API server of {paths.root.name!r} doesn't answer ({error}); see `panal status`.") from error
    except StatusError as error:
        raise Failure(f"the API server refused: {error}.") from error


async def ensure(client: Client, objects: Sequence[Object]) -> None:
    """Make those that are missing; what is there is left as it is."""
    for obj in objects:
        resource = resources.by_kind(obj["apiVersion"], obj["kind"])
        assert resource is not None, obj["kind"]
        try:
            await client.create(resource, obj)
        except AlreadyExists:
            continue


async def put(client: Client, obj: Object) -> None:
    """Make it, or let it be as given."""
    resource = resources.by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None, obj["kind"]
    await client.apply(resource, obj, manager="panal")
