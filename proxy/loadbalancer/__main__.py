"""The external load balancer's program: reads its flags, or the cluster's configuration, and runs."""

from __future__ import annotations

import argparse
import asyncio
import functools
import logging
import random
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import orjson

from panal import log
from panal.addresses import in_loopback, localized, real_port
from panal.client import Client
from panal.clustercheck import residents
from panal.config import load_cluster
from panal.tasks import run_until_signal

from ..forward.balance import Target
from ..forward.engine import Engine
from ..forward.records import Hooks, read_flow
from ..services.addresses import LocalAddresses, device_of_network
from ..services.tablesocket import Parts, answering, serving
from . import edge
from .balancer import LoadBalancer, Settings
from .checker import Checker
from .pools import Pool

_log = logging.getLogger(__name__)


def _frontend(text: str) -> tuple[int, int]:
    """PORT:NODEPORT. Raises ValueError."""
    port, _, node_port = text.partition(":")
    numbers = int(port), int(node_port)
    if not all(0 < number < 65536 for number in numbers):
        raise ValueError(text)
    return numbers


def _flags(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("load-balancer", allow_abbrev=False)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--config", type=Path, help="cluster.json, for what the next three don't say")
    parser.add_argument("--address", default="", help="its own address")
    parser.add_argument("--pool", type=Pool.parse, help="FIRST-LAST: the addresses for Services of type LoadBalancer")
    parser.add_argument("--frontend", type=_frontend, action="append", help="PORT:NODEPORT, more than once")
    parser.add_argument("--edge-socket", type=Path, help="where the machine's own listening sockets are handed out")
    parser.add_argument("--status-socket", type=Path, help="Unix socket that shows its state")
    parser.add_argument("--trace-socket", type=Path, help="Unix socket that tells of connections")
    flags = parser.parse_args(argv)
    flags.name, flags.reserved = "lb", frozenset()
    if flags.config is not None:
        config = load_cluster(flags.config)
        spec = config.load_balancer
        flags.name, flags.reserved = spec.name, frozenset(address for _, _, address in residents(config))
        flags.address = flags.address or spec.address
        flags.pool = flags.pool or Pool.parse("-".join(spec.addresses))
        flags.frontend = flags.frontend or [(item.port, item.node_port) for item in spec.frontends]
    if not flags.address or flags.pool is None:
        parser.error("--address and --pool are needed, or --config")
    return flags


def main(argv: Sequence[str]) -> int:
    """Run the load balancer until SIGTERM; returns its exit code."""
    flags = _flags(argv)
    log.setup("load-balancer")
    device = None if in_loopback() else device_of_network(flags.address)
    if device is None and not in_loopback():
        _log.error("no network device here has the network of %s", flags.address)
        return 1
    return run_until_signal(functools.partial(_run, flags, device))


async def _run(flags: argparse.Namespace, device: str | None) -> None:
    loop = asyncio.get_running_loop()
    checkers: list[Checker] = []

    def on_failure(target: Target) -> None:
        """Called on the engine's thread."""
        if checkers:
            loop.call_soon_threadsafe(checkers[0].failed, target)

    engine = Engine("load-balancer", Hooks(on_failure=on_failure), start=random.randrange(1 << 16))
    sockets = await _edge_sockets(flags.edge_socket)
    if sockets:
        engine.hand_over(edge.NAME, sockets)
    settings = Settings(
        flags.address, flags.pool, dict(flags.frontend or ()), edge.NAME if sockets else "", flags.reserved,
        flags.name, localized,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client.from_kubeconfig(flags.kubeconfig, user_agent="load-balancer"))
        engine.start()
        stack.callback(engine.close)
        addresses = LocalAddresses(device, f"{device}:lb"[:15]) if device else None
        balancer = LoadBalancer(client, settings, engine, addresses, real_port)
        checkers.append(balancer.checker)
        if flags.status_socket is not None:
            await stack.enter_async_context(answering(flags.status_socket, lambda: orjson.dumps(balancer.state())))
        if flags.trace_socket is not None:
            await stack.enter_async_context(serving(flags.trace_socket, functools.partial(_told_flow, engine)))
        _log.info("load balancer at %s, pool %s", settings.address, settings.pool)
        await balancer.run()


async def _told_flow(engine: Engine, request: str) -> Parts:
    """For `panal trace`, which says: flow CLIENT DESTINATION [udp], each ADDRESS:PORT."""
    try:
        word, *words = request.split()
        if word != "flow":
            raise ValueError("no such request")
        found = await engine.flow(*read_flow(words))
    except ValueError as error:
        yield orjson.dumps({"error": str(error)})
    else:
        yield orjson.dumps({"flow": found.document() if found is not None else None})


async def _edge_sockets(path: Path | None) -> list[socket.socket]:
    """The edge's sockets; it may be busy for a moment. Without them the LAN is served all the same."""
    if path is None:
        return []
    for delay in (0.05, 0.2, 1.0):
        try:
            return edge.listeners(path)
        except OSError as error:
            _log.warning("the edge hands out no sockets: %s", error)
            await asyncio.sleep(delay)
    return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
