"""The runtime daemon of a machine's nodes: `runtime --config nodes/NODE/node.json ...`, once for each node.

One process serves all of them, each on its own socket and from its own folder: nodes on one machine share its programs,
its spawner and most of the memory that a runtime needs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path

from panal import config, log, tools
from panal.cgroups import name
from panal.config import NodeConfig
from panal.paths import ClusterPaths
from panal.tasks import run_until_signal

from ..images import added
from ..network.contract import Space
from ..network.factory import open_pod_network
from ..network.netlink import inside
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
    nodes = [config.load_node(path) for path in _config_paths(argv)]
    log.setup("runtime")
    spawner = Spawner.fork_now("panal-spawner")
    _allow_many_files()
    daemon = _Daemon(nodes, spawner)
    code = run_until_signal(daemon.run)
    return code or daemon.code


def _config_paths(argv: Sequence[str]) -> list[Path]:
    import argparse

    parser = argparse.ArgumentParser(prog="runtime")
    parser.add_argument("--config", type=Path, action="append", required=True)
    paths: list[Path] = parser.parse_args(list(argv)).config
    return paths


def _allow_many_files() -> None:
    """Each container's output and end are descriptors. The containers, born of the spawner, keep the usual limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Daemon:
    def __init__(self, nodes: Sequence[NodeConfig], spawner: Spawner) -> None:
        self._nodes, self._spawner = nodes, spawner
        self.code = 0

    async def run(self) -> None:
        lost = asyncio.Event()
        self._spawner.on_lost(lost.set)
        try:
            async with AsyncExitStack() as stack:
                for node in self._nodes:
                    await stack.enter_async_context(self._serving(node))
                await lost.wait()
                _log.error("the fork server has ended; ending too, the containers live on")
                self.code = 1
        finally:
            self._spawner.close()

    @asynccontextmanager
    async def _serving(self, node: NodeConfig) -> AsyncIterator[None]:
        paths = ClusterPaths(Path(node.home))
        mine = paths.node(node.node.name)
        state = State(mine.runtime)
        place = _place(node, paths, _space(node, paths, alone=len(self._nodes) == 1))
        with _inside(place.node):
            network = open_pod_network(node)
        engine = Engine(state, self._spawner, network, _driver(node, state), place)
        await engine.recover()
        service = Service(engine, mine.runtime_socket)
        service.open()
        _log.info("serving %s, driver %s", mine.runtime_socket, node.runtime)
        try:
            yield
        finally:
            service.close()
            await engine.close()
            await network.close()


@contextmanager
def _inside(space: Space) -> Iterator[None]:
    """In the network namespace of this space, where it is another one."""
    if space.netns is None:
        yield
        return
    namespace = os.open(space.netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with inside(namespace):
            yield
    finally:
        os.close(namespace)


def _driver(node: NodeConfig, state: State) -> Driver:
    if node.runtime == "plain":
        return Plain(state)
    return Namespaces(state, _view(node.home), confined=machine.in_user_namespace())


@cache
def _view(home: str) -> machine.View:
    return machine.look([home, str(Path(home).parent.parent)], _unpacked())


def _unpacked() -> str | None:
    found = tools.folder(os.environ)
    return str(found / "root") if found else None


def _space(node: NodeConfig, paths: ClusterPaths, *, alone: bool) -> Space:
    """A daemon with one node was started in that node's network."""
    enter = node.network == "netns" and not alone
    return Space(node.node.address, os.fspath(paths.namespaces / node.node.name) if enter else None)


def _place(node: NodeConfig, paths: ClusterPaths, space: Space) -> Place:
    return Place(
        node=space,
        which=lambda program: tools.which(program, os.environ),
        exits=paths.root / "exits.jsonl",
        added=lambda ref: added.find(added.folder(Path(node.home).parent.parent), ref),
        own_root=node.runtime == "namespaces",
        unpacked=_unpacked() if node.runtime == "namespaces" else None,
        cgroups=Cgroups(name(node.home)) if os.geteuid() == 0 and not machine.in_user_namespace() else None,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
