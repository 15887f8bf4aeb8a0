"""kube-controller-manager: all controllers in one process, over one set of informers."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from panal import leaderelection, log
from panal.client import Client, Unreachable, until_reachable
from panal.durations import seconds
from panal.events import Recorder
from panal.tasks import run_until_signal

from .catalog import CONTROLLERS, chosen
from .context import Context, Informers, Settings
from .nodeipam.decide import ranges
from .nodelifecycle.zones import Limits

COMPONENT = "kube-controller-manager"


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog=COMPONENT, description=__doc__, allow_abbrev=False)
    found.add_argument("--kubeconfig", required=True, help="how to reach the API server")
    found.add_argument("--root-ca-file", default="", help="published as kube-root-ca.crt in every namespace")
    found.add_argument("--cluster-signing-cert-file", default="", help="the CA that signs certificate requests")
    found.add_argument("--cluster-signing-key-file", default="", help="the CA's key")
    found.add_argument("--cluster-cidr", default="", help="range of pod addresses, of which each node has a part")
    found.add_argument("--node-cidr-mask-size", type=int, default=24, help="prefix length of parts that are given")
    found.add_argument("--lan-cidr", default="", help="range of nodes' addresses, where these are given out here")
    found.add_argument("--lan-reserved", type=ranges, default=(), help="A,B-C: addresses of it that no node gets")
    found.add_argument("--service-cluster-ip-range", default="", help="range of Service addresses")
    found.add_argument("--local-path-folder", default="", help="where volumes of panal.dev/local-path are; empty: none")
    found.add_argument("--node-monitor-grace-period", type=seconds, default=40.0, help="silence of a node that counts")
    found.add_argument("--node-eviction-rate", type=float, default=0.1, help="nodes a second whose pods leave")
    found.add_argument("--secondary-node-eviction-rate", type=float, default=0.01, help="in a disrupted, large zone")
    found.add_argument("--unhealthy-zone-threshold", type=float, default=0.55, help="share of a disrupted zone's nodes")
    found.add_argument("--large-cluster-size-threshold", type=int, default=50, help="smaller zones evict nothing then")
    found.add_argument("--terminated-pod-gc-threshold", type=int, default=12500, help="finished pods that are kept")
    found.add_argument("--controllers", default="*", help="comma-separated; * is all, -NAME turns one off")
    leaderelection.add_flags(found, COMPONENT)
    return found


async def run(client: Client, settings: Settings, names: Sequence[str]) -> None:
    """Run the named controllers until cancelled."""
    informers = Informers(client)
    context = Context(client, informers, settings)
    loops = [(name, build(context)) for name, build in CONTROLLERS if name in names]
    async with asyncio.TaskGroup() as group:
        group.create_task(informers.run(), name="informers")
        for name, loop in loops:
            group.create_task(loop.run(), name=name)


async def reachable(client: Client) -> None:
    """Wait for the API server, however long it takes."""
    while True:
        try:
            await until_reachable(client, seconds=60)
            return
        except Unreachable:
            continue


def main(argv: Sequence[str]) -> int:
    options = parser().parse_args(argv)
    log.setup(COMPONENT)
    try:
        names = chosen(options.controllers.split(","))
        ca = Path(options.root_ca_file).read_text() if options.root_ca_file else ""
        signer = [options.cluster_signing_cert_file, options.cluster_signing_key_file]
        signing, key = [Path(path).read_text() if path else "" for path in signer]
        election = leaderelection.from_flags(options)
        client = Client.from_kubeconfig(options.kubeconfig, user_agent=COMPONENT)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{COMPONENT}: {error}\n")
        return 1
    settings = Settings(
        root_ca=ca,
        signing_certificate=signing,
        signing_key=key,
        volume_folder=options.local_path_folder,
        terminated_pods=options.terminated_pod_gc_threshold,
        eviction=Limits(
            options.node_eviction_rate,
            options.secondary_node_eviction_rate,
            options.unhealthy_zone_threshold,
            options.large_cluster_size_threshold,
        ),
        node_grace=options.node_monitor_grace_period,
        service_cidr=options.service_cluster_ip_range,
        cluster_cidr=options.cluster_cidr,
        node_mask=options.node_cidr_mask_size,
        lan=options.lan_cidr,
        lan_reserved=tuple(options.lan_reserved),
    )

    async def work() -> None:
        me = leaderelection.identity(socket.gethostname(), os.environ)
        try:
            await reachable(client)
            events = Recorder(client, COMPONENT)
            await leaderelection.lead(client, election, me, events, lambda: run(client, settings, names))
        finally:
            await client.close()

    return run_until_signal(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
