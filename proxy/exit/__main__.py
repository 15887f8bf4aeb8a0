"""The forward proxy's program: the way out of the company's LAN."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from panal import log
from panal.addresses import localized, real_port
from panal.config import ForwardProxySpec, load_cluster
from panal.tasks import run_until_signal

from .names import Names
from .policy import Policy
from .server import ForwardProxy

_log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    log.setup("forward-proxy")
    try:
        if options.config is not None:
            config = load_cluster(options.config)
            if config.forward_proxy is None:
                parser.error(f"{options.config} has no forward proxy")
            _take(options, config.forward_proxy, config.external_dns.address)
        policy = Policy.of(options.blocked, options.tunnel_port)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if not options.address:
        parser.error("--address is needed, or --config")
    try:
        return run_until_signal(lambda: _serve(options, policy))
    except OSError as error:
        _log.critical("%s", error)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="forward-proxy", description="The way out of the company's LAN.")
    parser.add_argument("--config", type=Path, help="cluster.json, for all that follows")
    parser.add_argument("--name", default="proxy", help="what Via and its pages call it")
    parser.add_argument("--address", default="", help="this host's address on the LAN")
    parser.add_argument("--port", type=int, default=3128)
    parser.add_argument("--resolver", default="", help="the DNS server; default: the machine's")
    parser.add_argument("--blocked", action="append", default=[], metavar="HOST[=REASON]")
    parser.add_argument("--tunnel-port", action="append", type=int, default=[], help="CONNECT may go there (443)")
    return parser


def _take(options: argparse.Namespace, spec: ForwardProxySpec, resolver: str) -> None:
    options.name, options.address, options.port, options.resolver = spec.name, spec.address, spec.port, resolver
    options.blocked = [f"{item.host}={item.reason}" for item in spec.blocked]
    options.tunnel_port = list(spec.tunnel_ports)


async def _serve(options: argparse.Namespace, policy: Policy) -> None:
    def write(line: str) -> None:
        sys.stdout.write(line)
        sys.stdout.flush()

    proxy = ForwardProxy(options.name, policy, Names(options.resolver), write)
    address = localized(options.address)
    try:
        port = await proxy.listen(address, real_port(options.port))
        _log.info("forward proxy at %s:%d, %d hosts blocked", address, port, len(policy.blocked))
        await asyncio.get_running_loop().create_future()
    finally:
        await proxy.close()


if __name__ == "__main__":
    raise SystemExit(main())
