"""The external DNS: authoritative for the company's domains, a resolver for everything else."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from panal import log
from panal.addresses import localized, real_port
from panal.client import Client
from panal.config import load_cluster
from panal.kubeconfig import KubeconfigError
from panal.tasks import run_until_signal

from ..forward import Forwarder, parse_forwards, resolvers
from ..server import Responder, Server
from .hosts import CompanyZones
from .learn import Learner

_log = logging.getLogger(__name__)
RESOLV_CONF = Path("/etc/resolv.conf")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; returns the exit code."""
    options = _parser().parse_args(argv)
    log.setup("external-dns")
    serving = localized(options.address)
    try:
        zones = CompanyZones(
            options.domain, address=serving, ttl=options.ttl, serial=int(time.time()), isolated=options.isolated
        )
        zones.fixed(options.record)
        upstreams = parse_forwards(options.forward, resolvers(RESOLV_CONF, exclude=[options.address, serving]))
        client = Client.from_kubeconfig(options.kubeconfig) if options.kubeconfig else None
    except (ValueError, KubeconfigError) as error:
        _parser().error(str(error))
    try:
        return run_until_signal(lambda: _serve(serving, options, zones, Forwarder(upstreams), client))
    except OSError as error:
        _log.critical("%s", error)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="external-dns", description="The DNS server of the company's LAN.")
    parser.add_argument("--kubeconfig", help="where to learn hosts of Ingresses and Services (default: nowhere)")
    parser.add_argument("--address", required=True, help="this host's address on the LAN")
    parser.add_argument("--port", type=int, default=53)
    parser.add_argument("--domain", action="append", required=True, help="be the authority for it; repeatable")
    parser.add_argument("--record", action="append", default=[], metavar="NAME=IP", help="a host; repeatable")
    parser.add_argument("--ttl", type=int, default=5, help="seconds; short, for the cluster's names come and go")
    parser.add_argument(
        "--isolated", action="store_true", help="nothing lies beyond the LAN: names outside the domains don't exist"
    )
    parser.add_argument("--policy", choices=("sync", "upsert-only"), default="sync", help="upsert-only: no name goes")
    parser.add_argument("--txt-owner-id", default="panal", help="told in TXT records beside what the cluster brought")
    parser.add_argument(
        "--update-config",
        type=Path,
        metavar="FILE",
        help="cluster.json: updates that its keys sign are taken",
    )
    parser.add_argument("--update-file", type=Path, metavar="FILE", help="what updates brought, kept")
    parser.add_argument("--forward", action="append", default=[], metavar="[ZONE=]ADDRESS[:PORT]")
    return parser


async def _serve(
    address: str, options: argparse.Namespace, zones: CompanyZones, forwarder: Forwarder, client: Client | None
) -> None:
    responder = Responder(zones.zones, forwarder)
    if options.update_config is not None:
        from .updates import Updates

        keys = load_cluster(options.update_config).external_dns.update_keys
        responder.update = Updates(zones.forward, keys, responder.changed, options.update_file)
    async with Server(responder) as server:
        await server.start(address, real_port(options.port))
        if client is None:
            await server.serve_forever()
        else:
            async with client:
                learner = Learner(
                    client, zones, responder.changed, owner=options.txt_owner_id, upsert_only=options.policy != "sync"
                )
                await learner.run()


if __name__ == "__main__":
    raise SystemExit(main())
