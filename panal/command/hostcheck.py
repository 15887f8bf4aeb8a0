"""Whether the host on this machine does its work: `panal host --check`, and what a container's health check asks.

    python -P -m panal.command.hostcheck

Not whether a process lives: a node is well when the cluster has it as Ready, the load balancer when a page comes
through it, the DNS server when it knows the company's names, a client when its resolver does. It is asked again and
again, so it imports next to nothing and reads the host's files itself.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

SECONDS = 3.0
LIMIT = 1 << 20
RESOLV_CONF = "/etc/resolv.conf"

Object = dict[str, Any]
Verdict = tuple[str, bool]
"""What was found, in words; and whether the host is well."""


def check(environ: Mapping[str, str]) -> Verdict:
    """How the host on this machine is."""
    try:
        folder, config = _running(environ)
        return _steward(folder) or _work(folder, config, str(config["alone"]["host"]))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        return f"{type(error).__name__}: {error}", False


def _running(environ: Mapping[str, str]) -> tuple[str, Object]:
    """The folder and the configuration of the cluster of which this machine is a host. Raises OSError, ValueError."""
    state = environ.get("XDG_STATE_HOME") or os.path.join(
        environ.get("HOME") or os.path.expanduser("~"), ".local/state"
    )
    clusters = os.path.join(environ.get("PANAL_HOME") or os.path.join(state, "panal"), "clusters")
    for name in sorted(os.listdir(clusters)) if os.path.isdir(clusters) else ():
        try:
            config = _read(os.path.join(clusters, name, "cluster.json"))
        except OSError:
            continue
        if config.get("alone"):
            return os.path.join(clusters, name), config
    raise ValueError("no host of a cluster runs here")


def _read(path: str) -> Object:
    with open(path, "rb") as file:
        found = json.loads(file.read(LIMIT))
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no object")
    return found


def _steward(folder: str) -> Verdict | None:
    """None when it keeps all that it should."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(SECONDS)
        try:
            asking.connect(os.path.join(folder, "steward.sock"))
        except OSError as error:
            return f"the steward does not answer ({error.strerror})", False
        asking.sendall(b'{"do": "status"}\n')
        with asking.makefile("rb") as answer:
            state = json.loads(answer.readline(LIMIT))
    for part in state["components"]:
        if part["pid"] is None and not part["done"]:
            return f"{part['name']} is not running", False
    return None


def _work(folder: str, config: Object, name: str) -> Verdict:
    balancer, dns = config["load_balancer"], config["external_dns"]
    known = f"{balancer['name']}.{dns['domains'][0]}"
    if name in {node["name"] for node in config["nodes"]}:
        return _node(folder, name)
    if name == balancer["name"] and balancer["frontends"]:
        return _page(balancer["address"], balancer["frontends"][0]["port"])
    if name == dns["name"]:
        return _name(known, balancer["address"], dns["address"])
    if name in {host["name"] for host in config["hosts"]}:
        return _name(known, balancer["address"], _resolver())
    return "its program runs", True


def _node(folder: str, name: str) -> Verdict:
    from panal.command.apiget import answer_of

    found = answer_of(os.path.join(folder, "nodes", name, "kubeconfig"), f"/api/v1/nodes/{name}", SECONDS)
    if found is None or found.get("kind") != "Node":
        return "the API server doesn't tell of this node", False
    for condition in (found.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready":
            return f"the node's Ready is {condition.get('status')}", condition.get("status") == "True"
    return "the node has not said yet whether it is Ready", False


def _page(address: str, port: int) -> Verdict:
    """Any answer to HTTP: it comes from a node's ingress controller, by way of the load balancer."""
    try:
        with socket.create_connection((address, port), timeout=SECONDS) as asking:
            asking.sendall(f"GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            line = asking.recv(256).partition(b"\r\n")[0].decode("ascii", "replace")
    except OSError as error:
        return f"nothing answers behind {address}:{port}: {error}", False
    return f"behind {address}:{port}: {line or 'silence'}", line.startswith("HTTP/1.")


def _resolver() -> str:
    with open(RESOLV_CONF) as file:
        servers = [line.split()[1] for line in file if line.startswith("nameserver ")]
    return servers[0] if servers else "127.0.0.1"


def _name(name: str, address: str, server: str) -> Verdict:
    """Whether this server knows the name's address."""
    query = question(name, os.urandom(2))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(SECONDS)
        asking.connect((server, 53))
        asking.send(query)
        answer = asking.recv(512)
    well = answer[:2] == query[:2] and answer[3] & 0x0F == 0 and answer.endswith(socket.inet_aton(address))
    return f"{server} {'knows' if well else 'does not know'} {name}", well


def question(name: str, number: bytes) -> bytes:
    """A query for the name's address (RFC 1035, section 4), with two bytes of chance."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return number + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\0\x00\x01\x00\x01"


def main() -> int:
    """Say it, and return 0 when the host is well, else 1."""
    words, well = check(os.environ)
    sys.stdout.write(words + "\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
