"""The cluster DNS: a pod behind the `kube-dns` Service, which every pod's resolv.conf names."""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from panal import log
from panal.addresses import in_loopback, real_port
from panal.client import Client
from panal.kubeconfig import KubeconfigError
from panal.tasks import run_until_signal

from .cluster import ClusterWatch
from .forward import Forwarder, parse_forwards, resolvers
from .health import health_servers
from .server import Responder, Server
from .zones import ClusterZones

_log = logging.getLogger(__name__)
RESOLV_CONF = "/etc/resolv.conf"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; returns the exit code."""
    options = _parser().parse_args(argv)
    log.setup("cluster-dns")
    pod_ip = os.environ.get("POD_IP")
    bind = options.bind or (pod_ip if in_loopback() and pod_ip else "0.0.0.0")
    try:
        own = [address for address in (pod_ip, options.bind, options.cluster_dns) if address]
        upstreams = parse_forwards(
            options.forward, resolvers(Path(os.environ.get("PANAL_ROOT", "") + RESOLV_CONF), exclude=own)
        )
    except ValueError as error:
        _parser().error(f"--forward: {error}")
    try:
        client = Client.from_kubeconfig(options.kubeconfig) if options.kubeconfig else Client.in_cluster(os.environ)
        return run_until_signal(lambda: _serve(options, bind, pod_ip, Forwarder(upstreams), client))
    except KeyError as error:
        _log.critical("not in a pod (%s is not set), and no --kubeconfig", error)
    except (OSError, KubeconfigError) as error:
        _log.critical("%s", error)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cluster-dns", description="DNS for Services and pods.")
    parser.add_argument("--bind", help="address to serve on (default: every address; $POD_IP in the loopback network)")
    parser.add_argument("--port", type=int, default=53)
    parser.add_argument("--cluster-domain", default="cluster.local")
    parser.add_argument("--cluster-dns", help="address of the kube-dns Service: the answer for ns.dns.CLUSTER-DOMAIN")
    parser.add_argument("--ttl", type=int, default=30, help="seconds clients may keep the cluster's names")
    parser.add_argument(
        "--forward",
        action="append",
        default=[],
        metavar="[ZONE=]ADDRESS[:PORT]",
        help="who is asked about names outside the cluster, or in ZONE (default: the nameservers of /etc/resolv.conf)",
    )
    parser.add_argument("--kubeconfig", help="default: the pod's service account")
    parser.add_argument("--health-port", type=int, default=8080)
    parser.add_argument("--ready-port", type=int, default=8181)
    return parser


async def _serve(
    options: argparse.Namespace, bind: str, pod_ip: str | None, forwarder: Forwarder, client: Client
) -> None:
    address = options.cluster_dns or pod_ip
    zones = ClusterZones(options.cluster_domain, ttl=options.ttl, serial=int(time.time()), address=address)
    responder = Responder(zones.zones, forwarder)
    watch = ClusterWatch(client, zones, responder.changed)
    ready = watch.synced.is_set
    try:
        async with Server(responder) as server:
            await server.start(bind, real_port(options.port))
            async with health_servers(bind, options.health_port, options.ready_port, responder, ready):
                await watch.run()
    finally:
        await client.close()


if __name__ == "__main__":
    raise SystemExit(main())
