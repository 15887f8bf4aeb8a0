"""The whole way from an address and a token to a node of the cluster: trust, certificates, a Node, its addresses.

Each step either succeeds or raises `Refused` with a sentence. What was made in the cluster before a later step failed
(a signed request, a Node that is not ready) is found again by the next attempt, or removed by `panal node rm`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from panal.addresses import LAN_ADDRESS
from panal.bootstraptoken import SYSTEM, check_pin, split
from panal.client import Client, Unreachable
from panal.errors import AlreadyExists, StatusError, Unauthorized
from panal.joinobjects import CONFIG, FORMAT
from panal.kubeconfig import Access
from panal.pki import Pair
from panal.resources import NODES, resource

from . import certificates, discovery
from .refused import Refused

ALLOCATED_WITHIN = 20.0
"""Seconds the controller manager has to give a node its addresses."""

Object = dict[str, Any]


@dataclass(frozen=True)
class Wish:
    """What the user says."""

    endpoint: str
    """ADDRESS:PORT of the cluster's API server."""
    token: str = field(repr=False)
    pin: str | None
    """The hash of the CA's key; None trusts whoever knows the token."""
    node: str
    """The name of the node that is to be."""


@dataclass(frozen=True)
class Facts:
    """What the cluster tells every node (panal-config)."""

    cluster: str
    network: str
    proxy_mode: str
    server: str
    home: str
    lan: str
    pod_cidr: str
    service_cidr: str
    cluster_dns: str
    cluster_domain: str
    resolver: str | None
    relay_port: int
    center: str
    vxlan: bool = False


@dataclass(frozen=True)
class Membership:
    """All that a machine has once it has joined."""

    node: str
    endpoint: str
    address: str
    """The node's address: of the company LAN, or, in the machine's own network, this machine's."""
    pod_cidr: str
    facts: Facts
    authority: bytes
    client: Pair
    serving: Pair


async def join(wish: Wish, say: Callable[[str], None] = lambda words: None) -> Membership:
    """Join; `say` gets a line for each step. Raises Refused."""
    try:
        split(wish.token)
        if wish.pin is not None:
            check_pin(wish.pin)
    except ValueError as error:
        raise Refused(f"that can't be right: {error}; take the line that `panal token create` printed.") from None
    authority = await discovery.authority(wish.endpoint, wish.token, wish.pin)
    say(f"cluster      {wish.endpoint} is who it should be")
    server = f"https://{wish.endpoint}"
    try:
        how = Access(server=server, ca=authority, token=wish.token)
        async with Client(how, user_agent="panal-join") as client:
            facts = await _facts(client)
            await _check_name(client, wish.node)
            pair = await certificates.certificate(client, certificates.CLIENT, wish.node)
        say(f"certificate  signed for system:node:{wish.node}")
        how = Access(server=server, ca=authority, certificate=pair.certificate, key=pair.key)
        async with Client(how, user_agent="panal-join") as client:
            own = facts.network == "netns"
            address, cidr = await _register(client, wish, own)
            say(f"addresses    {address}, pods {cidr}")
            hosts = [wish.node, address]
            serving = await certificates.certificate(client, certificates.SERVING, wish.node, hosts)
    except Unauthorized:
        raise Refused(
            f"the cluster at {wish.endpoint} does not take this token: it has ended or was taken back; "
            f"{discovery.NEW_TOKEN}."
        ) from None
    except Unreachable as error:
        raise Refused(f"the cluster at {wish.endpoint} stopped answering: {error}; try again.") from error
    except StatusError as error:
        raise Refused(
            f"the cluster at {wish.endpoint} refused: {error}; try again, or {discovery.NEW_TOKEN}."
        ) from error
    return Membership(wish.node, wish.endpoint, address, cidr, facts, authority, pair, serving)


async def _facts(client: Client) -> Facts:
    found = await client.get(resource("configmaps"), CONFIG, SYSTEM)
    try:
        return facts_of(orjson.loads(found["data"]["cluster.json"]))
    except (KeyError, TypeError, ValueError):
        raise Refused(f"the cluster's {CONFIG} can't be read; run `panal token create` there again.") from None


def facts_of(document: Mapping[str, Any]) -> Facts:
    """Raises Refused for another format, KeyError for what is missing."""
    if document.get("format") != FORMAT:
        raise Refused(
            f"the cluster is of another version of Panal (format {document.get('format')}, here {FORMAT}); "
            "install the same version on both machines."
        )
    return Facts(
        cluster=str(document["cluster"]),
        network=str(document["network"]),
        proxy_mode=str(document["proxyMode"]),
        server=str(document["server"]),
        home=str(document["home"]),
        lan=str(document["lan"]),
        pod_cidr=str(document["podCIDR"]),
        service_cidr=str(document["serviceCIDR"]),
        cluster_dns=str(document["clusterDNS"]),
        cluster_domain=str(document["clusterDomain"]),
        resolver=document.get("resolver"),
        relay_port=int(document["relayPort"]),
        center=str(document["center"]),
        vxlan=document.get("vxlan") is True,
    )


async def _check_name(client: Client, name: str) -> None:
    """A node that lives must not be taken over; one that is not ready may be this machine's, from before."""
    node = await _maybe(client, name)
    if node is not None and is_ready(node):
        raise Refused(
            f"the cluster has a node called {name!r} already, and it is Ready; choose another name with --node-name, "
            f"or remove that one there with `panal node rm {name}`."
        )


async def _maybe(client: Client, name: str) -> Object | None:
    try:
        return await client.get(NODES, name)
    except StatusError as error:
        if error.code == 404:
            return None
        raise


def is_ready(node: Object) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


async def _register(client: Client, wish: Wish, lan: bool) -> tuple[str, str]:
    """Make the Node; its address and the part of the pod network it has got."""
    address = "" if lan else await asyncio.get_running_loop().run_in_executor(None, local_address, wish.endpoint)
    wanted = node_object(wish.node, address)
    try:
        node = await client.create(NODES, wanted)
    except AlreadyExists:
        meta = {"annotations": (await client.get(NODES, wish.node))["metadata"].get("annotations") or {}}
        kept = meta["annotations"].get(LAN_ADDRESS) or ""
        asks = {"metadata": {"annotations": {LAN_ADDRESS: kept if lan else None}}}
        node = await client.patch(NODES, wish.node, asks)
    try:
        async with asyncio.timeout(ALLOCATED_WITHIN):
            node = await _allocated(client, node, lan)
    except TimeoutError:
        raise Refused(
            f"the cluster gave the node {wish.node!r} no addresses within {ALLOCATED_WITHIN:.0f} s: none may be left "
            f"in its networks; see `kubectl describe node {wish.node}` there, and remove nodes that are gone."
        ) from None
    address = address or node["metadata"]["annotations"][LAN_ADDRESS]
    told: Object = {"status": {"addresses": addresses(wish.node, address)}}
    await client.patch(NODES, wish.node, told, kind="strategic", subresource="status")
    return address, str(node["spec"]["podCIDR"])


def node_object(name: str, address: str) -> Object:
    """The Node of a machine that joins; without an address of its own it asks for one of the LAN."""
    annotations = {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}
    found: Object = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
            "annotations": annotations if address else {**annotations, LAN_ADDRESS: ""},
        },
        "spec": {},
    }
    if address:
        found["status"] = {"addresses": addresses(name, address)}
    return found


def addresses(name: str, address: str) -> list[Object]:
    return [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}]


async def _allocated(client: Client, node: Object, lan: bool) -> Object:
    """The node once it has all it waits for."""
    name = node["metadata"]["name"]
    while not is_allocated(node, lan):
        version = node["metadata"]["resourceVersion"]
        selector = f"metadata.name={name}"
        async with client.watch(NODES, resource_version=version, field_selector=selector) as events:
            async for _, node in events:
                if is_allocated(node, lan):
                    return node
        node = await client.get(NODES, name)
    return node


def is_allocated(node: Object, lan: bool) -> bool:
    annotations = node["metadata"].get("annotations") or {}
    return bool(node["spec"].get("podCIDR")) and (not lan or bool(annotations.get(LAN_ADDRESS)))


def local_address(endpoint: str) -> str:
    """This machine's address on the way to the cluster. Sends nothing. Raises Refused."""
    host, _, port = endpoint.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, int(port)))
        except OSError as error:
            raise Refused(f"there is no way from this machine to {host}: {os.strerror(error.errno or 0)}.") from error
        return str(probe.getsockname()[0])
