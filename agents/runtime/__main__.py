"""The runtime daemon of one node: `runtime --config nodes/NODE/node.json`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from panal import config, log, tools
from panal.cgroups import name
from panal.config import NodeConfig
from panal.paths import ClusterPaths
from panal.tasks import run_until_signal

from ..images import added
from ..network.contract import Space
from ..network.factory import open_pod_network
from . import machine
from .cgroups import Cgroups
from .driver import Driver
from .engine import Engine
from .namespaces import Namespaces
from .place import Place
from .plain import Plain
from .service import Service
from .spawner import Spawner
from .state import State

_log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Serve until SIGTERM; 1 when the fork server was lost, so that whoever keeps this process starts it again."""
    node = config.load_node(_config_path(argv))
    log.setup("runtime")
    spawner = Spawner.fork_now("panal-spawner")
    daemon = _Daemon(node, spawner)
    code = run_until_signal(daemon.run)
    return code or daemon.code


def _config_path(argv: Sequence[str]) -> Path:
    import argparse

    parser = argparse.ArgumentParser(prog="runtime")
    parser.add_argument("--config", type=Path, required=True)
    path: Path = parser.parse_args(list(argv)).config
    return path


class _Daemon:
    def __init__(self, node: NodeConfig, spawner: Spawner) -> None:
        self._node, self._spawner = node, spawner
        self.code = 0

    async def run(self) -> None:
        paths = ClusterPaths(Path(self._node.home))
        mine = paths.node(self._node.node.name)
        lost = asyncio.Event()
        self._spawner.on_lost(lost.set)
        state = State(mine.runtime)
        network = open_pod_network(self._node)
        engine = Engine(state, self._spawner, network, _driver(self._node, state), _place(self._node, paths))
        await engine.recover()
        service = Service(engine, mine.runtime_socket)
        service.open()
        _log.info("serving %s, driver %s", mine.runtime_socket, self._node.runtime)
        try:
            await lost.wait()
            _log.error("the fork server has ended; ending too, the containers live on")
            self.code = 1
        finally:
            service.close()
            await engine.close()
            await network.close()
            self._spawner.close()


def _driver(node: NodeConfig, state: State) -> Driver:
    if node.runtime == "plain":
        return Plain(state)
    view = machine.look([node.home, str(Path(node.home).parent.parent)], _unpacked())
    return Namespaces(state, view, confined=machine.in_user_namespace())


def _unpacked() -> str | None:
    found = tools.folder(os.environ)
    return str(found / "root") if found else None


def _place(node: NodeConfig, paths: ClusterPaths) -> Place:
    return Place(
        node=Space(node.node.address, None),
        which=lambda program: tools.which(program, os.environ),
        exits=paths.root / "exits.jsonl",
        added=lambda ref: added.find(added.folder(Path(node.home).parent.parent), ref),
        unpacked=_unpacked() if node.runtime == "namespaces" else None,
        cgroups=Cgroups(name(node.home)) if os.geteuid() == 0 and not machine.in_user_namespace() else None,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
