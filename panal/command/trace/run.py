"""The command: prepares the way in, makes the connection, asks the hops, and prints."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from typing import Any

import click

from panal import linux
from panal.addresses import low_ports_bindable, real_port
from panal.client import Client, Unreachable
from panal.config import ClusterConfig
from panal.errors import StatusError
from panal.paths import ClusterPaths
from panal.resources import PODS, SERVICES

from ..failure import Failure
from ..running import cluster, configuration
from ..shell import enter as enter_host
from ..shell import hosts
from .chain import UNKNOWN, Hop, Link, Places, address, follow
from .naming import Resolver
from .probe import Probe
from .report import document, print_report
from .target import Target, parse
from .within import within
from .world import RealWorld, said_plainly

Object = dict[str, Any]


class Setting:
    """A running cluster, as a trace needs to know it."""

    def __init__(self, paths: ClusterPaths, config: ClusterConfig, pods: list[Object], services: list[Object]) -> None:
        self.paths, self.config, self.pods, self.services = paths, config, pods, services
        self.shared = config.network == "loopback"
        shifted = self.shared and not low_ports_bindable()
        self.real_port: Callable[[int], int] = functools.partial(
            real_port, environ={"PANAL_LOW_PORTS": "shifted"} if shifted else {}
        )

    def origin(self, name: str) -> tuple[str | None, Resolver, Callable[[], None]]:
        """The node whose rules a connection from there meets, its resolver, and the way in. Raises Failure."""
        dns, config = self.config.external_dns, self.config
        own = Resolver(dns.address, self.real_port(53), dns.domains)
        if name in hosts(config):
            nodes = {node.name for node in config.nodes}
            return name if name in nodes else None, own, self.enter(name)
        namespace, _, pod_name = name.rpartition("/")
        pod = next((pod for pod in self.pods if _named(pod, namespace or "default", pod_name)), None)
        if pod is None or not pod["status"].get("podIP"):
            raise Failure(f"{name!r} is no host ({', '.join(hosts(config))}) and no running pod (NAMESPACE/NAME).")
        node, ip = pod["spec"]["nodeName"], pod["status"]["podIP"]
        if pod["spec"].get("hostNetwork"):
            return node, own, self.enter(node)
        domain = config.cluster_domain
        searches = (f"{pod['metadata']['namespace']}.svc.{domain}", f"svc.{domain}", domain)
        resolver = Resolver(config.dns_service_ip, self.real_port(53), searches, ndots=5)
        return node, resolver, self._enter_pod(node, ip)

    def enter(self, host: str) -> Callable[[], None]:
        return _nowhere if self.shared else functools.partial(enter_host, self.paths, host)

    def _enter_pod(self, node: str, ip: str) -> Callable[[], None]:
        def enter() -> None:
            enter_host(self.paths, node)
            place = self.paths.node(node).root / "network" / "namespaces" / ip
            network = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
            linux.setns(network, linux.CLONE_NEWNET)
            os.close(network)

        return _nowhere if self.shared else enter

    def places(self) -> Places:
        given = {
            item["ip"]
            for service in self.services
            for item in (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or ()
            if item.get("ip")
        }
        balancer = self.config.load_balancer
        return Places(
            {node.address: node.name for node in self.config.nodes},
            balancer.name,
            frozenset({balancer.address, *given}),
            self.shared,
            self.real_port,
        )


def trace(name: str | None, text: str, start: str | None, as_json: bool, environ: Mapping[str, str]) -> int:
    """Print the way; returns 0, or 1 when a step failed. Raises Failure when the way can't be found out."""
    try:
        target = parse(text)
    except ValueError as error:
        raise Failure(f"{error}.") from error
    paths = cluster(name, environ)
    config = configuration(paths)
    begin = start or _first_client(config)
    setting = Setting(paths, config, *_objects(paths))
    found, hops = _traced(setting, begin, target)
    if as_json:
        click.echo(json.dumps(document(begin, str(target), found, hops), indent=2))
    else:
        print_report(begin, str(target), found, hops)
    return 1 if found.get("error") or any(hop.why for hop in hops) else 0


def _traced(setting: Setting, begin: str, target: Target) -> tuple[Object, list[Hop]]:
    node, resolver, enter = setting.origin(begin)
    request_id = f"panal-trace-{secrets.token_hex(16)}"
    probe = Probe(target, resolver, request_id, setting.real_port)
    world = RealWorld(setting.config, setting.paths, setting.pods, setting.enter, setting.real_port, request_id)
    with within(enter, probe.run) as found, said_plainly():
        connection = found.get("connection")
        if connection is None:
            return found, []
        local = address(connection["local"]) if "local" in connection else UNKNOWN
        error = found.get("error") or {}
        why = error["why"] if error.get("step") == "connection" else ""
        protocol = "UDP" if target.scheme == "udp" else "TCP"
        link = Link(local, address(connection["remote"]), node, why, protocol)
        return found, follow(link, world, setting.places())


def _objects(paths: ClusterPaths) -> tuple[list[Object], list[Object]]:
    """Pods and Services. Raises Failure."""

    async def read() -> tuple[list[Object], list[Object]]:
        async with Client.from_kubeconfig(paths.kubeconfig, user_agent="panal-trace") as client:
            pods, services = await asyncio.gather(client.list(PODS), client.list(SERVICES))
            return pods["items"], services["items"]

    try:
        return asyncio.run(read())
    except (Unreachable, StatusError, OSError, socket.gaierror) as error:
        raise Failure(f"the API server does not say which pods there are ({error}); see `panal status`.") from error


def _first_client(config: ClusterConfig) -> str:
    names = [host.name for host in config.hosts]
    if not names:
        return config.control_plane.name
    return "menchupc" if "menchupc" in names else names[0]


def _named(pod: Object, namespace: str, name: str) -> bool:
    return bool(pod["metadata"]["namespace"] == namespace and pod["metadata"]["name"] == name)


def _nowhere() -> None:
    """In the loopback network all are here."""
