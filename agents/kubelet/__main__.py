"""The kubelet's command line: `kubelet --config nodes/NODE/node.json`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from panal import log
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
    """Run until SIGTERM; the pods go on without it."""
    parser = argparse.ArgumentParser(prog="kubelet", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the node's node.json")
    options = parser.parse_args(list(argv))
    log.setup("kubelet")
    try:
        return run_until_signal(lambda: _run(options.config))
    except (OSError, ValueError) as error:
        _log.error("%s", error)
        return 1


async def _run(path: Path) -> None:
    config = load_node(path)
    paths = ClusterPaths(Path(config.home)).node(config.node.name)
    tls = tls_context(config, paths.root / "pki")
    async with Client.from_kubeconfig(paths.kubeconfig, user_agent="kubelet/v1.36.2") as client:
        runtime = RuntimeClient(paths.runtime_socket, containers=paths.runtime / "containers")
        kubelet = Kubelet(config, paths, client, runtime, os.environ)
        try:
            server = Server(kubelet, Guard(client, config.node.name))
            async with server.serving(config.node.address, config.kubelet_port, tls):
                await kubelet.run()
        finally:
            await runtime.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
