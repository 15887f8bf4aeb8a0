"""Graceful shutdown of all nodes of a cluster, by their kubelets: before `panal down`, for data that will be needed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson

from panal.client import Client, Unreachable
from panal.errors import StatusError
from panal.kubeconfig import KubeconfigError
from panal.paths import ClusterPaths
from panal.resources import NODES

_MORE = 10.0
"""Seconds beyond the grace after which nobody waits any more."""


async def shut_down(paths: ClusterPaths, grace: float) -> Sequence[str]:
    """What did not end as it should, a line each."""
    try:
        async with asyncio.timeout(grace + _MORE), Client.from_kubeconfig(paths.kubeconfig) as client:
            nodes = [item["metadata"]["name"] for item in (await client.list(NODES))["items"]]
            told = await asyncio.gather(*(_one(client, name, grace) for name in nodes))
    except (KubeconfigError, Unreachable, StatusError, OSError) as error:
        return [f"The pods could not be told: {error}"]
    return [line for lines in told for line in lines]


async def _one(client: Client, name: str, grace: float) -> Sequence[str]:
    try:
        path = f"{NODES.path(None, name)}/proxy/shutdown"
        answer = orjson.loads(await client.request("POST", path, params={"grace": f"{grace:g}s"}))
    except (Unreachable, StatusError) as error:
        return [f"Node {name} could not be told: {error}"]
    return [f"Pod {pod} on node {name} did not end in time." for pod in answer["left"]]
