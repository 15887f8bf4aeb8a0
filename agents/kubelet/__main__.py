"""The kubelet's command line: `kubelet --config nodes/NODE/node.json`."""

from __future__ import annotations

import argparse
import asyncio
import functools
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from panal import durations, log, tasks
from panal.client import Client
from panal.config import load_node
from panal.paths import ClusterPaths
from panal.tasks import run_until_signal

from ..runtime.client import RuntimeClient
from .authorization import Guard
from .kubelet import Kubelet
from .server import Server, tls_context

_log = logging.getLogger("kubelet")


def main(argv: Sequence[str]) -> int:
    """Run until SIGTERM, and the pods go on without it; or until SIGUSR1, and they end before."""
    parser = argparse.ArgumentParser(prog="kubelet", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the node's node.json")
    parser.add_argument("--shutdown-grace-period", default="0s", help="what pods may take to end after SIGUSR1")
    options = parser.parse_args(list(argv))
    log.setup("kubelet")
    try:
        grace = durations.seconds(options.shutdown_grace_period)
        return run_until_signal(lambda: _run(options.config, grace))
    except (OSError, ValueError) as error:
        _log.error("%s", error)
        return 1


async def _run(path: Path, grace: float) -> None:
    config = load_node(path)
    paths = ClusterPaths(Path(config.home)).node(config.node.name)
    tls = tls_context(config, paths.root / "pki")
    async with Client.from_kubeconfig(paths.kubeconfig, user_agent="kubelet/v1.36.2") as client:
        runtime = RuntimeClient(paths.runtime_socket, containers=paths.runtime / "containers")
        kubelet = Kubelet(config, paths, client, runtime, os.environ)
        leave = functools.partial(tasks.spawn, name="shutdown")
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: leave(_leave(kubelet, grace)))
        try:
            server = Server(kubelet, Guard(client, config.node.name))
            async with server.serving(config.node.address, config.kubelet_port, tls):
                await kubelet.run()
        finally:
            await runtime.close()


async def _leave(kubelet: Kubelet, grace: float) -> None:
    """The node shuts down: its pods end, then this process."""
    await kubelet.shutdown.run(grace)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
