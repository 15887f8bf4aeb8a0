"""The kube-proxy program: reads its flags and environment, makes the dataplane, runs.

Flags are those of kube-proxy; `--table-socket` and `--node-ip` are Panal's own.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import random
import sys
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network
from pathlib import Path

from panal import log
from panal.addresses import in_loopback, real_port
from panal.client import Client
from panal.tasks import run_until_signal

from ..forward.engine import Engine
from . import nft
from .addresses import LocalAddresses
from .dataplane import Dataplane
from .kubeproxy import KubeProxy
from .netfilter import Netfilter
from .userspace import Userspace

HEALTHZ_PORT = 10256
_log = logging.getLogger(__name__)


def _cidr(text: str) -> str:
    """An IPv4 network as it may stand in a rule. Raises ValueError."""
    return str(IPv4Network(text)) if text else ""


def _flags(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("kube-proxy", allow_abbrev=False)
    parser.add_argument("--kubeconfig", default="", help="without it: the service account of the pod")
    parser.add_argument("--proxy-mode", choices=("netfilter", "userspace"), default="netfilter")
    parser.add_argument("--cluster-cidr", type=_cidr, default="", help="the pods; other sources are masqueraded")
    parser.add_argument("--hostname-override", default=os.environ.get("NODE_NAME", ""), help="the node's name")
    parser.add_argument("--node-ip", default="", help="the node's address, where its Node object has none yet")
    parser.add_argument("--table-socket", type=Path, help="Unix socket that shows the table")
    parser.add_argument("--healthz-bind-address", default="", help="address:port; default 0.0.0.0:10256")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run kube-proxy until SIGTERM; returns its exit code."""
    flags = _flags(argv)
    log.setup("kube-proxy")
    make: Callable[[], Dataplane] = functools.partial(_userspace, loopback=in_loopback())
    if flags.proxy_mode == "netfilter":
        if (found := nft.find(os.environ)) is None:
            _log.error("--proxy-mode=netfilter needs nft (Debian package nftables)")
            return 1
        make = functools.partial(Netfilter, found, flags.cluster_cidr, flags.node_ip)
    return run_until_signal(functools.partial(_run, flags, make))


async def _run(flags: argparse.Namespace, make: Callable[[], Dataplane]) -> None:
    node = flags.hostname_override or os.uname().nodename
    loopback = in_loopback()
    everywhere = flags.node_ip if loopback and flags.node_ip else "0.0.0.0"
    host, _, port = flags.healthz_bind_address.rpartition(":")
    client = (
        Client.from_kubeconfig(flags.kubeconfig, user_agent="kube-proxy")
        if flags.kubeconfig
        else Client.in_cluster(os.environ, user_agent="kube-proxy")
    )
    async with client:
        proxy = KubeProxy(
            client,
            make(),
            node,
            node_ip=flags.node_ip,
            table_socket=flags.table_socket,
            healthz=(host or everywhere, int(port or HEALTHZ_PORT)),
            check_address=everywhere,
            cluster_cidr=flags.cluster_cidr,
        )
        _log.info("kube-proxy of node %s in %s mode", node, flags.proxy_mode)
        await proxy.run()


def _userspace(loopback: bool) -> Dataplane:
    engine = Engine("kube-proxy", reuse_port=loopback, start=random.randrange(1 << 16))
    engine.start()
    return Userspace(engine, real_port, None if loopback else LocalAddresses())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
