"""The ingress controller: routes HTTP by host and path to the pods of Services."""

from __future__ import annotations

import argparse
import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from panal import log
from panal.addresses import in_loopback, localized, real_port
from panal.client import Client
from panal.kubeconfig import KubeconfigError
from panal.tasks import run_until_signal

from . import engines
from .accesslog import AccessLog, unblocked
from .admin import admin_server
from .build import Selection
from .controller import IngressController, Publish
from .downstream import Timeouts
from .proxy import Proxy
from .server import Server
from .tls import Certificates

_log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    log.setup("ingress")
    pod_ip = os.environ.get("POD_IP")
    options.bind = options.bind or (pod_ip if in_loopback() and pod_ip else "0.0.0.0")
    namespace, slash, service = options.publish_service.partition("/")
    if options.publish_service and not (namespace and slash and service):
        parser.error("--publish-service: expected NAMESPACE/NAME")
    try:
        addresses = [localized(address) for address in options.publish_status_address.split(",") if address]
    except ValueError as error:
        parser.error(f"--publish-status-address: {error}")
    publish = Publish(addresses, (namespace, service) if service else None)
    try:
        if options.prepare:
            engines.prepare(options)
            return 0
        client = Client.from_kubeconfig(options.kubeconfig) if options.kubeconfig else Client.in_cluster(os.environ)
        serve = _serve if options.engine == engines.OWN else _serve_engine
        return run_until_signal(lambda: serve(options, publish, client))
    except KeyError as error:
        _log.critical("not in a pod (%s is not set), and no --kubeconfig", error)
    except (OSError, KubeconfigError) as error:
        _log.critical("%s", error)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ingress", description="Routes HTTP to Services as Ingresses say.")
    parser.add_argument(
        "--ingress-class", default="panal", help="class in the old annotation kubernetes.io/ingress.class"
    )
    parser.add_argument(
        "--controller-class", default="panal.dev/ingress-controller", help="controller of IngressClasses"
    )
    parser.add_argument("--watch-ingress-without-class", action="store_true")
    parser.add_argument("--http-port", type=int, default=80)
    parser.add_argument("--https-port", type=int, default=443, help="0: no TLS")
    parser.add_argument("--bind", help="default: every address; $POD_IP in the loopback network")
    parser.add_argument("--publish-status-address", default="", metavar="ADDRESS[,ADDRESS]")
    parser.add_argument("--publish-service", default="", metavar="NAMESPACE/NAME")
    parser.add_argument("--route-domain", default="", help="serve OpenShift's Routes; hosts of those without one")
    parser.add_argument("--use-forwarded-headers", action="store_true", help="trust X-Forwarded-* of clients")
    parser.add_argument("--health-port", type=int, default=10254)
    parser.add_argument("--engine", choices=engines.NAMES, default=engines.OWN, help="the program that moves the bytes")
    parser.add_argument("--engine-folder", type=Path, default=Path("/engine"), help="of its configuration")
    parser.add_argument("--status-port", type=int, default=10246, help="where the engine tells its configuration")
    parser.add_argument("--prepare", action="store_true", help="write a first configuration for the engine, and end")
    parser.add_argument("--kubeconfig", help="default: the pod's service account")
    return parser


async def _serve_engine(options: argparse.Namespace, publish: Publish, client: Client) -> None:
    """Another program serves; we write what it is told."""
    runner = engines.runner(
        options, lambda name: controller.secret(name), lambda all_: controller.complain(all_, "engine")
    )
    controller = IngressController(client, _selection(options), publish, runner.apply, socket.gethostname())
    try:
        async with admin_server(options.bind, options.health_port, None, lambda: bool(runner.in_force), runner.metrics):
            await controller.run()
    finally:
        await client.close()


def _selection(options: argparse.Namespace) -> Selection:
    return Selection(options.controller_class, options.ingress_class, options.watch_ingress_without_class)


async def _serve(options: argparse.Namespace, publish: Publish, client: Client) -> None:
    proxy = Proxy(Timeouts(), log=AccessLog(unblocked(1)), trust_forwarded=options.use_forwarded_headers)
    controller = IngressController(
        client, _selection(options), publish, proxy.apply, socket.gethostname(), options.route_domain
    )
    certificates = Certificates(lambda name: proxy.table.certificate(name), controller.secret)
    server = Server(proxy, certificates)
    try:
        await server.listen(options.bind, real_port(options.http_port), told_port=options.http_port)
        if options.https_port:
            await server.listen(options.bind, real_port(options.https_port), told_port=options.https_port, tls=True)
        async with admin_server(options.bind, options.health_port, proxy, controller.synced.is_set):
            await controller.run()
    finally:
        await server.close()
        await client.close()


if __name__ == "__main__":
    raise SystemExit(main())
