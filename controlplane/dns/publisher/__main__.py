"""ExternalDNS' program, as far as it writes to servers that take updates; flags are named as there."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence

from panal import log
from panal.client import Client
from panal.durations import seconds
from panal.kubeconfig import KubeconfigError
from panal.tasks import run_until_signal

from ..external.endpoints import SOURCES
from .publishing import Publisher, Rules
from .rfc2136 import Key, Server

_log = logging.getLogger(__name__)
SECRET = "EXTERNAL_DNS_RFC2136_TSIG_SECRET"
"""In the environment the key is seen by fewer people than in a command line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    log.setup("external-dns")
    try:
        key = None
        if not options.rfc2136_insecure:
            secret = options.rfc2136_tsig_secret or os.environ.get(SECRET, "")
            if not options.rfc2136_tsig_keyname or not secret:
                parser.error("--rfc2136-tsig-keyname and --rfc2136-tsig-secret are needed, or --rfc2136-insecure")
            key = Key(options.rfc2136_tsig_keyname, secret, options.rfc2136_tsig_secret_alg)
        names = [zone.rstrip(".").lower() for zone in options.rfc2136_zone]
        zones = {name: Server(options.rfc2136_host, options.rfc2136_port, name, key) for name in names}
        rules = Rules(
            options.txt_owner_id, options.policy, int(seconds(options.rfc2136_min_ttl)), options.txt_prefix,
            max(seconds(options.interval), 1.0),
        )  # fmt: skip
        client = Client.from_kubeconfig(options.kubeconfig) if options.kubeconfig else Client.in_cluster(os.environ)
    except (OSError, KubeconfigError, KeyError, ValueError) as error:
        _log.critical("%s", error)
        return 1

    async def serve() -> None:
        async with client:
            await Publisher(client, tuple(dict.fromkeys(options.source)), zones, rules).run()

    return run_until_signal(serve)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="external-dns", description="Writes the cluster's names into a DNS server.")
    parser.add_argument("--source", action="append", choices=tuple(SOURCES), required=True)
    parser.add_argument("--provider", choices=("rfc2136",), default="rfc2136")
    parser.add_argument("--registry", choices=("txt",), default="txt")
    parser.add_argument("--policy", choices=("sync", "upsert-only", "create-only"), default="sync")
    parser.add_argument("--txt-owner-id", default="default")
    parser.add_argument("--txt-prefix", default="")
    parser.add_argument("--interval", default="1m", help="until the zone is compared again")
    parser.add_argument("--rfc2136-host", required=True)
    parser.add_argument("--rfc2136-port", type=int, default=53)
    parser.add_argument("--rfc2136-zone", action="append", required=True)
    parser.add_argument("--rfc2136-insecure", action="store_true", help="updates are not signed")
    parser.add_argument("--rfc2136-tsig-keyname", default="")
    parser.add_argument("--rfc2136-tsig-secret", default="", help=f"Base64; default: ${SECRET}")
    parser.add_argument("--rfc2136-tsig-secret-alg", default="hmac-sha256")
    parser.add_argument("--rfc2136-tsig-axfr", action="store_true", help="transfers are signed as updates are (always)")
    parser.add_argument("--rfc2136-min-ttl", default="300s", help="of records that ask for none")
    parser.add_argument("--kubeconfig", help="default: the pod's service account")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
