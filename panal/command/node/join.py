"""`panal node join`: make this machine a node of a cluster whose control plane is on another one."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from panal.clusterfields import HOST_NAME
from panal.config import dump
from panal.paths import ClusterPaths

from .. import up
from ..down import end
from ..failure import Failure
from ..launch import launch
from ..resolve import Capability, probe
from ..running import answers, follow, paths_of

JOIN = "panal.agents.join"
"""The part that speaks to the cluster; known by its name only."""
TOKEN = "PANAL_TOKEN"


@dataclass(frozen=True)
class Wish:
    """The command line. None is what was not said."""

    address: str | None
    token: str | None = field(repr=False)
    token_file: Path | None
    pin: str | None
    node: str | None
    name: str | None


def hide_token(argv: Sequence[str], environ: Mapping[str, str]) -> None:
    """A token on the command line can be read by everybody here: go on as the same program without it."""
    kept, token = without_token(argv)
    if token is None:
        return
    click.echo(
        f"panal: the token was on the command line, where other users' `ps` and your shell's history can show it; "
        f"{TOKEN} in the environment, or --token-file, keeps it to yourself.",
        err=True,
    )
    sys.stderr.flush()
    command = [sys.executable, "-P", "-m", "panal.command", *kept]
    os.execve(sys.executable, command, {**environ, TOKEN: token})


def without_token(argv: Sequence[str]) -> tuple[list[str], str | None]:
    """The arguments without `--token T`, and T."""
    kept: list[str] = []
    token: str | None = None
    words = iter(argv)
    for word in words:
        if word == "--token":
            token = next(words, "")
        elif word.startswith("--token="):
            token = word.removeprefix("--token=")
        else:
            kept.append(word)
    return kept, token


def join(wish: Wish, environ: Mapping[str, str]) -> None:
    """Raises Failure. Interrupted, it takes away what it has begun here."""
    began = up.process_start()
    token = _token(wish, environ)
    node = _node_name(wish.node)
    paths = paths_of(wish.name, environ)
    if answers(paths):
        raise Failure(
            f"a cluster called {paths.root.name!r} runs on this machine already; end it with `panal down`, or give "
            "this one another name with --name."
        )
    capability = _namespaces(environ)
    found = _handshake(wish, token, node)
    _check(found.facts.network, found.facts.proxy_mode, capability)
    member = importlib.import_module(f"{JOIN}.member")
    config = member.cluster_config(found, paths.root.name)
    _be_node(config, paths, lambda: member.write(found, config, paths), {**environ}, began)
    _closing_words(node, found.facts.cluster, paths)


def start(address: str | None, name: str | None, environ: Mapping[str, str]) -> None:
    """Be the node again that this machine was before it was restarted. Raises Failure."""
    began = up.process_start()
    paths = paths_of(name, environ)
    if answers(paths):
        raise Failure(f"{paths.root.name!r} runs on this machine already; see `panal status`.")
    member = importlib.import_module(f"{JOIN}.member")
    try:
        found = member.kept(paths)
    except (OSError, ValueError) as error:
        raise Failure(f"the membership can't be read: {error}; join again with a token.") from error
    if found is None:
        raise Failure(
            f"this machine is no node of a cluster that is called {paths.root.name!r} here; join one with "
            "`panal node join`, or name it with --name."
        )
    config, files = found
    if address is not None:
        config = member.moved(config, importlib.import_module(f"{JOIN}.discovery").endpoint(address))
    _check(config.network, config.proxy_mode, _namespaces(environ))
    node = config.nodes[0].name
    click.echo(f"member       {node}, of the cluster at {config.joined.endpoint}; it is Ready when that answers")
    _be_node(config, paths, lambda: member.put(config, files, paths), {**environ}, began)
    _closing_words(node, config.name, paths)


def _namespaces(environ: Mapping[str, str]) -> Capability:
    """What the machine can do, namespaces included. Raises Failure."""
    capability = probe(environ)
    if capability.namespaces is not None:
        raise Failure(f"a node that joins lives in namespaces of its own, but {capability.namespaces}.")
    return capability


def _be_node(
    config: Any, paths: ClusterPaths, write: Callable[[], None], environ: Mapping[str, str], began: float
) -> None:
    """Start what the node needs, show how it goes, and remember the membership. Raises Failure."""
    with up.one_interruption():
        try:
            with ExitStack() as stack:
                up.check_place(paths)
                lock = up.take_place(paths, stack)
                write()
                _start(config, paths, environ, began, lock, stack)
            _show(paths)
            importlib.import_module(f"{JOIN}.member").keep(config, paths)
        except KeyboardInterrupt:
            click.echo("panal: interrupted; this machine leaves again.", err=True)
            end(paths)
            sys.exit(130)


def _closing_words(node: str, cluster: str, paths: ClusterPaths) -> None:
    suffix = "" if paths.root.name == "panal" else f" --name {paths.root.name}"
    click.echo(f"\nThis machine is the node {node!r} of the cluster {cluster!r}.")
    click.echo(f"  panal status{suffix}     its processes")
    click.echo(f"  panal node start{suffix} the same node again, after this machine was restarted")
    click.echo(f"  panal down{suffix}       ends it for good; then, where the control plane is: panal node rm {node}")


def _token(wish: Wish, environ: Mapping[str, str]) -> str:
    """Raises Failure."""
    if wish.token_file is not None:
        try:
            with wish.token_file.open() as file:
                return file.read(1024).strip()
        except OSError as error:
            raise Failure(f"{wish.token_file} can't be read: {error.strerror}; write the token into it.") from error
    if token := environ.get(TOKEN):
        os.environ.pop(TOKEN, None)
        return token.strip()
    raise Failure(
        f"a token is needed; make one where the control plane is, with `panal token create`, and set {TOKEN}."
    )


def _node_name(wanted: str | None) -> str:
    if wanted is not None:
        if not HOST_NAME.fullmatch(wanted):
            raise Failure(f"--node-name {wanted!r} is no node's name; use lower-case letters, digits and hyphens.")
        return wanted
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().partition(".")[0].lower()).strip("-")[:63]
    if not HOST_NAME.fullmatch(name):
        raise Failure("this machine's host name makes no node's name; give one with --node-name.")
    return name


def _handshake(wish: Wish, token: str, node: str) -> Any:
    handshake = importlib.import_module(f"{JOIN}.handshake")
    discovery = importlib.import_module(f"{JOIN}.discovery")
    refused = importlib.import_module(f"{JOIN}.refused").Refused
    try:
        address, pin = wish.address, wish.pin
        if address is None:
            found = importlib.import_module(f"{JOIN}.mdns").find(pin)
            address = found
            click.echo(f"found        a cluster announces itself at {address}")
        if pin is None:
            click.echo(
                "panal: without --discovery-token-ca-cert-hash, whoever knows the token can pretend to be the cluster.",
                err=True,
            )
        asked = handshake.Wish(discovery.endpoint(address), token, pin, node)
        return asyncio.run(handshake.join(asked, click.echo))
    except refused as error:
        raise Failure(str(error)) from None


def _check(network: str, proxy_mode: str, capability: Capability) -> None:
    """Whether this machine can do as the cluster's nodes do. Raises Failure."""
    if network != "netns":
        raise Failure(f"the cluster's nodes live in the {network} network, which spans no other machines.")
    if proxy_mode == "netfilter" and capability.netfilter is not None:
        raise Failure(
            f"the cluster's kube-proxy works with netfilter, but here {capability.netfilter}; install nftables, "
            "or start the cluster with `panal up --proxy-mode userspace`."
        )


def _start(config: Any, paths: ClusterPaths, environ: Mapping[str, str], began: float, lock: int, stack: Any) -> None:
    keeper = launch(paths, "netns", environ, began)
    stack.push(lambda kind, *_: keeper.forget() if kind is not None else None)
    paths.config.write_bytes(dump(config))
    os.chmod(paths.config, 0o600)
    with ExitStack() as sockets:
        listeners = [sockets.enter_context(up.listen(path)) for path in (paths.edge_socket, paths.steward_socket)]
        keeper.go("netns", {"PANAL_NETWORK": "netns"}, [lock, *(one.fileno() for one in listeners)], [])


def _show(paths: ClusterPaths) -> None:
    """Print each stage as it passes. Raises Failure."""
    for event in follow(paths, {"do": "follow"}, None):
        if event.get("failed"):
            end(paths)
            raise Failure(f"the node could not start: {event['detail']}; correct that and join again.")
        click.echo(f"{event['seconds']:6.2f} s {event['stage']:<26} {event['detail']}")
        if event.get("last"):
            return
    end(paths)
    raise Failure("the steward ended before the node was ready; what it had made is removed.")
