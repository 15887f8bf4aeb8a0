"""The cluster's listening sockets in the machine's own network: held by the keeper, accepted on by components inside.

On 127.0.0.1: the API server and the load balancer's first frontend. With `--listen`, where other machines can come:
the API server once more, and the port that pods' traffic is relayed over.
"""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from dataclasses import replace

from panal.config import ClusterConfig, Listen

from .failure import Failure

API_PORT, HTTP_PORT, RELAY_PORT = 6443, 8080, 6444
"""Ports that are taken when they are free and nothing else was asked for."""
LOCAL = "127.0.0.1"

Edges = list[tuple[str, int]]
"""What each descriptor is called on edge.sock."""


def open_all(config: ClusterConfig, stack: ExitStack) -> tuple[ClusterConfig, Edges]:
    """Open them, until the stack ends; the configuration with the ports that they got. Raises Failure."""
    api = stack.enter_context(_on_this_machine(config.api_port, API_PORT, "spec.edge.apiPort"))
    http = stack.enter_context(_on_this_machine(config.http_port, HTTP_PORT, "spec.edge.httpPort"))
    edges = [("api", api.fileno()), ("http", http.fileno())]
    config = replace(config, api_port=_port(api), http_port=_port(http))
    if config.listen is not None:
        listen = config.listen
        outer = stack.enter_context(_anywhere(listen, listen.api_port, API_PORT))
        relay = stack.enter_context(_anywhere(listen, listen.relay_port, RELAY_PORT))
        edges += [("api", outer.fileno()), ("relay", relay.fileno())]
        config = replace(config, listen=replace(listen, api_port=_port(outer), relay_port=_port(relay)))
    return config, edges


def wanted(text: str) -> Listen:
    """What `--listen` asks for: ADDRESS[:PORT], or `auto`. Raises Failure."""
    address, _, port = text.partition(":")
    if port and not (port.isdecimal() and 0 < int(port) < 65536):
        raise Failure(f"--listen {text!r}: {port!r} is no port; write ADDRESS or ADDRESS:PORT.")
    advertise = default_address() if address in ("auto", "0.0.0.0") else address
    if address == "auto":
        address = advertise
    for each in (address, advertise):
        try:
            socket.inet_aton(each)
        except OSError:
            raise Failure(
                f"--listen {text!r}: {each!r} is no IPv4 address; name one of this machine's, or `auto`."
            ) from None
    return Listen(address, advertise, int(port or 0))


def default_address() -> str:
    """The address by which this machine reaches others: that of its default route. Raises Failure. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1, RFC 5737
        except OSError:
            raise Failure(
                "this machine has no default route that tells its address; name one with --listen ADDRESS."
            ) from None
        return str(probe.getsockname()[0])


def _on_this_machine(asked: int, usual: int, field: str) -> socket.socket:
    """The port asked for, or else the usual one, or else any that is free."""
    try:
        return listener(LOCAL, asked, usual)
    except OSError as error:
        why = _why(error)
        raise Failure(
            f"port {asked} of {LOCAL} {why}; write another one in {field} of the cluster.yaml, or 0 for any."
        ) from error


def _anywhere(listen: Listen, asked: int, usual: int) -> socket.socket:
    try:
        return listener(listen.address, asked, usual)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise Failure(f"--listen {listen.address}: this machine has no such address; name one it has.") from error
        raise Failure(
            f"--listen {listen.address}: port {asked or usual} {_why(error)}; name another one with ADDRESS:PORT."
        ) from error


def listener(address: str, asked: int, usual: int) -> socket.socket:
    """Raises OSError."""
    for port in (asked,) if asked else (usual, 0):
        found = socket.socket()
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((address, port))
            found.listen(1024)
            return found
        except OSError as error:
            found.close()
            if asked or not port or error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
    raise AssertionError("unreachable: the last port ends the loop")


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "is taken by another program"
    return f"can't be had: {error.strerror}"


def _port(found: socket.socket) -> int:
    return int(found.getsockname()[1])
