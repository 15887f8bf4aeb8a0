"""`panal node ls` and `panal node rm`: the machines of a cluster."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Mapping
from typing import Any

import click

from panal.addresses import LAN_ADDRESS
from panal.client import Client
from panal.errors import NotFound, StatusError
from panal.resources import NODES, PODS, resource

from ..failure import Failure
from ..running import cluster, configuration
from ..status import table
from .api import administer, put

REMOVED, SYSTEM = "panal-removed-nodes", "kube-system"
MIRROR = "kubernetes.io/config.mirror"
PAUSE = 0.5

Object = dict[str, Any]


def show(name: str | None, environ: Mapping[str, str]) -> None:
    """Every node, whether its machine is this one, and since when it has been silent. Raises Failure."""
    paths = cluster(name, environ)
    here = {node.name for node in configuration(paths).nodes}

    async def work(client: Client) -> list[Object]:
        return list((await client.list(NODES))["items"])

    rows = [
        [node["metadata"]["name"], state(node), machine(node, here), address(node), node["spec"].get("podCIDR", "")]
        for node in administer(paths, work)
    ]
    table(["NODE", "STATUS", "MACHINE", "ADDRESS", "PODS"], rows)


def machine(node: Object, here: set[str]) -> str:
    """Where the node is."""
    if node["metadata"]["name"] in here:
        return "this one"
    joined = node["metadata"]["creationTimestamp"]
    return f"another one, joined {joined}"


def state(node: Object) -> str:
    conditions = {item["type"]: item for item in (node.get("status") or {}).get("conditions") or ()}
    ready = conditions.get("Ready") or {}
    if ready.get("status") == "True":
        return "Ready,SchedulingDisabled" if node["spec"].get("unschedulable") else "Ready"
    if ready.get("status") == "Unknown":
        return f"silent since {ready.get('lastHeartbeatTime') or 'it joined'}"
    return "NotReady"


def address(node: Object) -> str:
    found = (node["metadata"].get("annotations") or {}).get(LAN_ADDRESS)
    known = (node.get("status") or {}).get("addresses") or ()
    return str(found or next((item["address"] for item in known if item["type"] == "InternalIP"), ""))


def remove(node: str, name: str | None, timeout: float, environ: Mapping[str, str]) -> None:
    """Let its pods go elsewhere, take its certificates back, and forget it. Raises Failure."""
    paths = cluster(name, environ)
    if node in {each.name for each in configuration(paths).nodes}:
        raise Failure(f"{node!r} is one of the cluster's own nodes on this machine; `panal down` ends them all.")

    async def work(client: Client) -> None:
        try:
            found = await client.get(NODES, node)
        except NotFound:
            raise Failure(f"the cluster has no node called {node!r}; `panal node ls` shows them.") from None
        if state(found).startswith("Ready"):
            await _drain(client, node, timeout)
        else:
            click.echo(f"{node} doesn't answer: its pods are given up")
        await _revoke(client, node)
        await client.delete(NODES, node)

    administer(paths, work)
    click.echo(f"{node} is no node of the cluster any more, and its certificates are good for nothing.")


async def _drain(client: Client, node: str, timeout: float) -> None:
    """Evict its pods, as budgets allow, and wait until they are gone; after `timeout` seconds, go on without them."""
    await client.patch(NODES, node, {"spec": {"unschedulable": True}})
    deadline = time.monotonic() + timeout
    said: set[str] = set()
    while pods := [pod for pod in await _pods(client, node) if is_movable(pod)]:
        for pod in pods:
            meta = pod["metadata"]
            if meta.get("deletionTimestamp"):
                continue
            if meta["uid"] not in said:
                said.add(meta["uid"])
                click.echo(f"evicting {meta['namespace']}/{meta['name']}")
            await _evict(client, meta["namespace"], meta["name"])
        if time.monotonic() > deadline:
            click.echo(f"{len(pods)} pods were still there after {timeout:.0f} s and are given up")
            return
        await asyncio.sleep(PAUSE)


async def _pods(client: Client, node: str) -> list[Object]:
    return list((await client.list(PODS, field_selector=f"spec.nodeName={node}"))["items"])


def is_movable(pod: Object) -> bool:
    """Whether it would run elsewhere: not a DaemonSet's, not the node's own, not finished."""
    meta = pod["metadata"]
    owners = [owner.get("kind") for owner in meta.get("ownerReferences") or () if owner.get("controller")]
    done = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return "DaemonSet" not in owners and MIRROR not in (meta.get("annotations") or {}) and not done


async def _evict(client: Client, namespace: str, name: str) -> None:
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
    try:
        await client.create(PODS, eviction, namespace, name=name, subresource="eviction")
    except NotFound:
        return
    except StatusError as error:
        if error.code != 429:  # a budget: asked again
            raise


async def _revoke(client: Client, node: str) -> None:
    """Certificates that were signed until now are refused; see controlplane/apiserver/removednodes.py."""
    try:
        before = await client.get(resource("configmaps"), REMOVED, SYSTEM)
    except NotFound:
        before = {}
    now = datetime.datetime.now(datetime.UTC).isoformat()
    await put(
        client,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": REMOVED, "namespace": SYSTEM},
            "data": {**(before.get("data") or {}), node: now},
        },
    )
