"""The network agent of a node in the `machine` network: follows the cluster's Nodes and keeps the routes to their pods.

python -m panal.agents.network --config nodes/NODE/node.json
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from panal import log
from panal.client import Client
from panal.config import NodeConfig, load_node
from panal.informer import Delta, Informer
from panal.paths import ClusterPaths
from panal.resources import NODES
from panal.tasks import run_until_signal

from .machine import set_routes
from .routes import Routes, wanted

_log = logging.getLogger("network")


def main(argv: Sequence[str]) -> int:
    """Run until SIGTERM; the routes stay."""
    parser = argparse.ArgumentParser(prog="panal-network", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the node's node.json")
    options = parser.parse_args(list(argv))
    log.setup("network")
    return run_until_signal(lambda: _run(load_node(options.config)))


async def _run(config: NodeConfig) -> None:
    paths = ClusterPaths(Path(config.home)).node(config.node.name)
    changed = asyncio.Event()

    def on_node(_: Delta) -> None:
        changed.set()

    async with Client.from_kubeconfig(paths.kubeconfig, user_agent="panal-network") as client:
        nodes = Informer(client, NODES)
        nodes.subscribe(on_node)
        async with asyncio.TaskGroup() as group:
            group.create_task(nodes.run(), name="watch nodes")
            await nodes.synced()
            last: Routes | None = None
            while True:
                changed.clear()
                last = _apply(wanted(nodes.all(), config.node.name), last, config.node.address)
                await changed.wait()


def _apply(want: Routes, last: Routes | None, address: str) -> Routes | None:
    """Set the routes, unless they are those of last time; what they are now, None for those that weren't taken."""
    if want == last:
        return last
    try:
        refused = set_routes(want, address)
    except OSError as error:
        _log.error("the routes can't be set: %s", error)
        return None
    for cidr, reason in refused.items():
        _log.error("no route to the pods %s by way of %s; its node must be on this LAN", cidr, reason)
    _log.info("routes to the pods of %d other nodes", len(want) - len(refused))
    return want


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
