"""Follows a machine's way into the cluster, for whoever waits at the terminal; ends when its node is Ready.

`panal-watch FOLDER`. It runs in the node's own network, so that what it reaches the node reaches, too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from panal import log
from panal.client import Client, Unreachable
from panal.config import ClusterConfig, load_cluster
from panal.errors import StatusError
from panal.informer import Delta, Informer
from panal.paths import ClusterPaths
from panal.resources import NODES
from panal.tasks import cancel, run_until_signal, spawn

from .handshake import is_ready

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
API_ANSWERS = "API server answers"


def main(argv: Sequence[str]) -> int:
    """0 once the node is Ready."""
    paths = ClusterPaths(Path(argv[0]))
    log.setup("watch")
    finished: list[bool] = []

    async def work() -> None:
        await _follow(load_cluster(paths.config), paths)
        finished.append(True)

    run_until_signal(work)
    return 0 if finished else 1


async def _follow(config: ClusterConfig, paths: ClusterPaths) -> None:
    node = config.nodes[0].name
    assert config.joined is not None
    async with Client.from_kubeconfig(paths.node(node).kubeconfig, user_agent="panal-watch") as client:
        pause = FIRST_PAUSE
        while True:
            try:
                await client.request("GET", "/livez")
                break
            except (Unreachable, StatusError):
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE)
        await _report(paths, API_ANSWERS, f"{config.joined.server}, by way of {config.joined.endpoint}")
        await _ready(client, node)
    await _report(paths, "node Ready", f"{node}, {config.nodes[0].address}", last=True)


async def _ready(client: Client, name: str) -> None:
    content = asyncio.Event()
    nodes = Informer(client, NODES, field_selector=f"metadata.name={name}")

    def look(_: Delta) -> None:
        if any(is_ready(node) for node in nodes.all()):
            content.set()

    nodes.subscribe(look)
    running = spawn(nodes.run(), name="watch the node")
    try:
        await content.wait()
    finally:
        await cancel(running)


async def _report(paths: ClusterPaths, stage: str, detail: str, *, last: bool = False) -> None:
    reader, writer = await asyncio.open_unix_connection(paths.steward_socket)
    writer.write(json.dumps({"do": "report", "stage": stage, "detail": detail, "last": last}).encode() + b"\n")
    await reader.readline()
    writer.close()
