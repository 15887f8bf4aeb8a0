"""`panal host --check`: whether the host on this machine does its work. What a container's health check asks.

Not whether a process lives: a node is well when the cluster has it as Ready, the load balancer when a page comes
through it, the DNS server when it knows the company's names, a client when its resolver does.
"""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Mapping

import click

from panal.config import ClusterConfig
from panal.paths import ClusterPaths

from .failure import Failure
from .host import Host, role_of
from .running import ask, configuration, home, names
from .status import answer_of

SECONDS = 3.0
RESOLV_CONF = "/etc/resolv.conf"


def check(host: Host, environ: Mapping[str, str]) -> int:
    """0 when it is well, else 1; prints the reason either way."""
    try:
        words, well = _look(host, environ)
    except (Failure, OSError) as error:
        words, well = str(error), False
    click.echo(words)
    return 0 if well else 1


def _look(host: Host, environ: Mapping[str, str]) -> tuple[str, bool]:
    paths, config = _running(environ)
    name = host.name or config.host
    for part in ask(paths, {"do": "status"}).get("components", ()):
        if part["pid"] is None and not part["done"]:
            return f"{part['name']} is not running", False
    match role_of(config, name):
        case "control plane" | "worker":
            return _node(paths, name)
        case "loadbalancer":
            return _page(config)
        case "dns":
            return _name(config, config.external_dns.address)
        case "client":
            return _name(config, _resolver())
    return "its program runs", True


def _running(environ: Mapping[str, str]) -> tuple[ClusterPaths, ClusterConfig]:
    """The cluster of which this machine is a host. Raises Failure."""
    for name in names(environ):
        paths = ClusterPaths.of(home(environ), name)
        if paths.config.exists() and (config := configuration(paths)).host:
            return paths, config
    raise Failure("no host of a cluster runs here")


def _node(paths: ClusterPaths, name: str) -> tuple[str, bool]:
    found = answer_of(paths.node(name).kubeconfig, f"/api/v1/nodes/{name}", SECONDS)
    if found is None or found.get("kind") != "Node":
        return "the API server doesn't tell of this node", False
    for condition in (found.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready":
            return f"the node's Ready is {condition.get('status')}", condition.get("status") == "True"
    return "the node has not said yet whether it is Ready", False


def _page(config: ClusterConfig) -> tuple[str, bool]:
    """Any answer to HTTP: it comes from a node's ingress controller, by way of the load balancer."""
    balancer = config.load_balancer
    for front in balancer.frontends[:1]:
        connection = http.client.HTTPConnection(balancer.address, front.port, timeout=SECONDS)
        try:
            connection.request("GET", "/", headers={"User-Agent": "panal-check"})
            code = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"nothing answers behind {balancer.address}:{front.port}: {error or 'silence'}", False
        finally:
            connection.close()
        return f"a page comes through {balancer.address}:{front.port} (code {code})", True
    return "its program runs", True


def _resolver() -> str:
    with open(RESOLV_CONF) as file:
        servers = [line.split()[1] for line in file if line.startswith("nameserver ")]
    return servers[0] if servers else "127.0.0.1"


def _name(config: ClusterConfig, server: str) -> tuple[str, bool]:
    """Ask this server for the load balancer's name."""
    name = f"{config.load_balancer.name}.{config.external_dns.domains[0]}"
    query = question(name, os.urandom(2))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(SECONDS)
        asking.connect((server, 53))
        asking.send(query)
        answer = asking.recv(512)
    known = (
        answer[:2] == query[:2]
        and answer[3] & 0x0F == 0
        and answer.endswith(socket.inet_aton(config.load_balancer.address))
    )
    return (f"{server} knows {name}" if known else f"{server} doesn't know {name}"), known


def question(name: str, number: bytes) -> bytes:
    """A query for the name's address (RFC 1035, section 4), with two bytes of chance."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return number + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\0\x00\x01\x00\x01"
