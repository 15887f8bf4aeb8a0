"""The last part of a cluster's start, as a client of its API: apply the addons, wait until all of it can be used.

A process that ends when it is done; killed before, it begins again, and finds done what was done. Each stage is
reported to the steward over steward.sock. It runs on the control plane's node.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from panal import addons, bundledkinds, log, resources
from panal.client import Client, Unreachable
from panal.config import ClusterConfig, load_cluster
from panal.errors import AlreadyExists, StatusError
from panal.informer import Delta, Informer
from panal.kubeconfig import access
from panal.paths import ClusterPaths
from panal.pki import node_server
from panal.tasks import cancel, run_until_signal, spawn

from .control import API_ANSWERS

FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.25
"""Seconds between attempts while the API server starts: it takes a fraction of a second."""

NODES_WITHIN = 20.0
"""Seconds after which the given manifests are applied although nodes are missing: pods are spread over who is there."""

Object = dict[str, Any]
_log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """`panal-bring-up FOLDER`."""
    paths = ClusterPaths(Path(argv[0]))
    log.setup("bring-up")
    config = load_cluster(paths.config)
    finished: list[bool] = []

    async def work() -> None:
        how = dataclasses.replace(access(paths.kubeconfig), server=node_server(config))
        async with Client(how, user_agent="panal-bring-up") as client:
            await bring_up(client, config, paths)
        finished.append(True)

    run_until_signal(work)
    return 0 if finished else 1


async def bring_up(client: Client, config: ClusterConfig, paths: ClusterPaths) -> None:
    """Everything, in order; returns once the cluster is usable and the steward knows."""
    await _patiently(lambda: client.request("GET", "/livez"))
    await _apply_all(client, addons.lan_access())
    await report(paths, API_ANSWERS, f"{node_server(config)}, here https://127.0.0.1:{config.api_port}")
    await _invite(client, config, paths)
    async with asyncio.TaskGroup() as group:
        objects = addons.addons(config, paths)
        applying = group.create_task(_apply_all(client, objects), name="apply the addons")
        nodes = group.create_task(_nodes_ready(client, config, paths), name="wait for nodes")
        services = group.create_task(_service(client, "default", "kubernetes"), name="wait for default/kubernetes")
        given = group.create_task(_apply_given(client, config, nodes), name="apply the given manifests")
        await services
        await report(paths, "kubernetes Service", config.kubernetes_service_ip)
        await applying
        await report(paths, "DNS Service", config.dns_service_ip)
        await nodes
        await _deployment(client, "kube-system", "coredns")
        await report(paths, "cluster DNS answers", await _resolve(config))
        if config.ingress.enabled:
            await _deployment(client, addons.INGRESS_NAMESPACE, "ingress")
            await report(paths, "ingress controller available", f"port {config.ingress.node_port} of every node")
        await given
    await report(paths, "usable", f"{len(config.nodes)} nodes", last=True)
    await _apply_all(client, bundledkinds.definitions())  # what else companies' manifests name; nothing waits for it


async def _invite(client: Client, config: ClusterConfig, paths: ClusterPaths) -> None:
    """Where the other hosts are other machines: let them join."""
    if config.alone is None:
        return
    from .alone import meeting

    invitation, objects = meeting.invite(config, paths)
    await _apply_all(client, objects)
    meeting.publish(config, invitation)
    await report(paths, "others may join", config.alone.join)


async def _apply_given(client: Client, config: ClusterConfig, nodes: asyncio.Task[None]) -> None:
    """What the user wants to begin with, once the nodes are there, or have been waited for long enough.

    What can't be read is told, and keeps nothing else from starting.
    """
    if config.alone is None or not config.alone.manifests:
        return
    from .alone import meeting

    await asyncio.wait([nodes], timeout=NODES_WITHIN)
    for folder in config.alone.manifests:
        try:
            objects = meeting.manifests(Path(folder))
        except (OSError, ValueError) as error:
            _log.error("the manifests can't be applied: %s", error)
            continue
        pods = [obj for obj in objects if obj["kind"] == "Pod"]
        await _apply_all(client, [obj for obj in objects if obj["kind"] != "Pod"])
        for namespace in {pod["metadata"]["namespace"] for pod in pods}:
            await _account(client, namespace)
        await _apply_all(client, pods)
        _log.info("applied %d objects of %s", len(objects), folder)


async def report(paths: ClusterPaths, stage: str, detail: str, *, last: bool = False) -> None:
    """Tell the steward; it keeps the time."""
    _log.info("%s: %s", stage, detail)
    reader, writer = await asyncio.open_unix_connection(paths.steward_socket)
    writer.write(json.dumps({"do": "report", "stage": stage, "detail": detail, "last": last}).encode() + b"\n")
    await reader.readline()
    writer.close()


async def _patiently(attempt: Callable[[], Any]) -> Any:
    """Until the API server takes it. What it refuses for good (400, 403, 422) is raised."""
    pause = FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except (Unreachable, TimeoutError):
            pass
        except StatusError as error:
            if error.code in (400, 403, 422):
                raise
            _log.info("not yet: %s", error)
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


async def _apply_all(client: Client, objects: Sequence[Object]) -> None:
    """Create them, namespaces first, the others together. What exists already is the user's to change."""
    for obj in objects:
        if obj["kind"] == "Namespace":
            await _create(client, obj)
    async with asyncio.TaskGroup() as group:
        for obj in objects:
            if obj["kind"] != "Namespace":
                group.create_task(_create(client, obj), name=f"create {obj['kind']} {obj['metadata']['name']}")


async def _create(client: Client, obj: Object) -> None:
    resource = resources.by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None, obj["kind"]

    async def attempt() -> None:
        try:
            await client.create(resource, obj)
        except AlreadyExists:
            return

    try:
        await _patiently(attempt)
    except StatusError as error:
        _log.error("%s %s was refused: %s", obj["kind"], obj["metadata"]["name"], error)


async def _nodes_ready(client: Client, config: ClusterConfig, paths: ClusterPaths) -> None:
    names = {node.name for node in config.nodes}
    ready: set[str] = set()

    def look(informer: Informer) -> bool:
        ready.update(node["metadata"]["name"] for node in informer.all() if _is_true(node, "Ready"))
        return names <= ready

    await _wait(Informer(client, resources.NODES), look)
    await report(paths, f"{len(names)} nodes Ready", ", ".join(node.name for node in config.nodes))


async def _service(client: Client, namespace: str, name: str) -> None:
    informer = Informer(client, resources.SERVICES, namespace=namespace)
    await _wait(informer, lambda services: services.get(namespace, name) is not None)


async def _account(client: Client, namespace: str) -> None:
    """Pods are taken once their namespace has its service account."""
    informer = Informer(client, resources.resource("serviceaccounts"), namespace=namespace)
    await _wait(informer, lambda accounts: accounts.get(namespace, "default") is not None)


async def _deployment(client: Client, namespace: str, name: str) -> None:
    def look(informer: Informer) -> bool:
        found = informer.get(namespace, name)
        wanted = 1 if found is None else found["spec"].get("replicas", 1)
        return found is not None and int(found.get("status", {}).get("availableReplicas") or 0) >= wanted

    await _wait(Informer(client, resources.resource("deployments"), namespace=namespace), look)


def _is_true(obj: Object, condition: str) -> bool:
    conditions = obj.get("status", {}).get("conditions") or ()
    return any(item["type"] == condition and item["status"] == "True" for item in conditions)


async def _wait(informer: Informer, look: Callable[[Informer], bool]) -> None:
    """Until `look` is content with what the informer holds."""
    content = asyncio.Event()

    def changed(_: Delta) -> None:
        if look(informer):
            content.set()

    informer.subscribe(changed)
    running = spawn(informer.run(), name=f"watch {informer.resource.plural}")
    try:
        await content.wait()
    finally:
        await cancel(running)


async def _resolve(config: ClusterConfig) -> str:
    """Ask the cluster DNS, by its Service's address, for the API server's; what it answered."""
    from panal.addresses import real_port

    name = f"kubernetes.default.svc.{config.cluster_domain}"
    query = dns_query(name)
    loop = asyncio.get_running_loop()
    pause = FIRST_PAUSE
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.setblocking(False)
            try:
                asking.connect((config.dns_service_ip, real_port(53)))
                await loop.sock_sendall(asking, query)
                answer = await asyncio.wait_for(loop.sock_recv(asking, 512), 0.05 + pause)
                if answer[:2] == query[:2] and answer[3] & 0x0F == 0 and answer[-4:]:
                    return f"{name} is {socket.inet_ntoa(answer[-4:])}"
            except (OSError, TimeoutError):
                pass
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def dns_query(name: str) -> bytes:
    """A query for the name's address, as RFC 1035 section 4 lays it out."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return b"\x50\x41\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\0\x00\x01\x00\x01"
