"""`panal up`: open the edge, start the keeper, show the stages, and merge the context into the user's kubeconfig."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from panal import cleanup
from panal.config import ClusterConfig, dump
from panal.paths import ClusterPaths

from . import edge
from .context import check, context_of, merge_context
from .down import end
from .failure import Failure
from .launch import Keeper, launch
from .resolve import Document, Resolved, Wish, guess_network, name_of, probe, read, resolve
from .running import answers, configuration, follow, home, locked, names

if TYPE_CHECKING:
    from .backup import Backup

API_ANSWERS = "API server answers"
"""The stage from which on kubectl works, and the user's kubeconfig leads to the cluster."""
SOCKET_PATH = 107
"""Bytes that a Unix socket's path may have."""

__all__ = ["Wish", "up"]


def up(wish: Wish, environ: Mapping[str, str]) -> None:
    """Start the cluster. Raises Failure. Interrupted, it takes away what it has begun."""
    began = process_start()
    document = read(wish)
    saved: Backup | None = None
    if wish.restore is not None:
        from . import backup

        saved = backup.read(wish.restore)
        wish = replace(wish, name=wish.name or saved.config.name)
    paths = ClusterPaths.of(home(environ), name_of(wish, document))
    if paths.membership.exists():
        suffix = "" if paths.root.name == "panal" else f" --name {paths.root.name}"
        raise Failure(
            f"this machine is a node of another one's cluster, called {paths.root.name!r} here; start that with "
            f"`panal node start{suffix}`, leave it for good with `panal down{suffix}`, or give this one another name."
        )
    check_place(paths)
    mine = False
    with one_interruption():
        try:
            with ExitStack() as stack:
                lock = take_place(paths, stack)
                mine = True
                keeper = launch(paths, guess_network(wish, document), environ, began)
                stack.push(lambda kind, *_: keeper.forget() if kind is not None else None)
                resolved = _resolve(wish, document, saved, paths, environ)
                if saved is not None:
                    backup.unpack(saved, paths)
                _start(resolved, paths, keeper, lock)
            target, context = _show_stages(paths, environ)
        except KeyboardInterrupt:
            click.echo("panal: interrupted; taking the cluster down again.", err=True)
            if mine:
                end(paths)
            sys.exit(130)
    _closing_words(configuration(paths), target, context)


@contextmanager
def one_interruption() -> Iterator[None]:
    """Whatever ends the command (Control-C, kill, the terminal's end) is a KeyboardInterrupt, and comes only once.

    Once interrupted, more of them are ignored until the process has ended: one that came after the cluster was taken
    down, while the interpreter ends, would change the exit code.
    """
    interrupted = False
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}

    def interrupt(number: int, frame: object) -> None:
        nonlocal interrupted
        interrupted = True
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # nohup(1)
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        if not interrupted:
            for number, handler in before.items():
                signal.signal(number, handler)


def _resolve(
    wish: Wish, document: Document | None, saved: Backup | None, paths: ClusterPaths, environ: Mapping[str, str]
) -> Resolved:
    check(environ)
    if saved is None:
        resolved = resolve(wish, document, probe(environ))
    else:
        from . import backup

        resolved = backup.resolved(saved, wish, paths.root.name, probe(environ))
    if wish.listen is not None:
        resolved = replace(resolved, config=_listening(resolved.config, wish.listen, vxlan=wish.vxlan))
    elif wish.vxlan:
        raise Failure("--vxlan is for clusters that other machines join; say where with --listen.")
    check_length(sockets_of(resolved.config, paths), paths)
    _check_neighbours(resolved.config, environ)
    for note in resolved.notes:
        click.echo(f"         {note}")
    return resolved


def _listening(config: ClusterConfig, text: str, *, vxlan: bool) -> ClusterConfig:
    """Raises Failure."""
    if config.network == "loopback":
        raise Failure(
            "--listen: nodes of the loopback network can't be reached from another machine; use --network netns."
        )
    return replace(config, listen=replace(edge.wanted(text), vxlan=vxlan))


def process_start() -> float:
    """When this process was started, in seconds since boot: the interpreter's own start counts too."""
    with open("/proc/self/stat", "rb") as file:
        ticks = int(file.read().rpartition(b")")[2].split()[19])
    return min(ticks / os.sysconf("SC_CLK_TCK"), time.clock_gettime(time.CLOCK_BOOTTIME))


def check_place(paths: ClusterPaths) -> None:
    check_length([paths.steward_socket], paths)
    try:
        paths.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.chmod(paths.root, 0o700)
    except OSError as error:
        raise Failure(f"{paths.root} can't be made: {error.strerror}; choose another place with PANAL_HOME.") from error


def sockets_of(config: ClusterConfig, paths: ClusterPaths) -> list[Path]:
    nodes = [paths.node(node.name) for node in config.nodes]
    return [*(node.runtime_socket for node in nodes), *(node.proxy_socket for node in nodes)]


def check_length(sockets: Sequence[Path], paths: ClusterPaths) -> None:
    longest = max(sockets, key=lambda path: len(os.fsencode(path)))
    if (length := len(os.fsencode(longest))) > SOCKET_PATH:
        raise Failure(
            f"{paths.root} is too long a folder for the sockets in it, by {length - SOCKET_PATH} bytes; "
            "choose a shorter one with PANAL_HOME."
        )


def _check_neighbours(config: ClusterConfig, environ: Mapping[str, str]) -> None:
    """Clusters of the loopback network share the machine's addresses: two of the same would be one."""
    if config.network != "loopback":
        return
    for name in names(environ):
        other = ClusterPaths.of(home(environ), name)
        if name != config.name and answers(other) and configuration(other).network == "loopback":
            raise Failure(
                f"the cluster {name!r} has the loopback network's addresses; take it down with "
                f"`panal down --name {name}`, or use --network netns, where clusters have addresses of their own."
            )
    address = config.control_plane.address
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((address, 6443))
        except OSError as error:
            raise Failure(
                f"{address}:6443 is taken ({error.strerror}), perhaps by another user's cluster in the loopback "
                "network; end that, or give the nodes other addresses in a cluster.yaml."
            ) from error


def take_place(paths: ClusterPaths, stack: ExitStack) -> int:
    """Lock the cluster's folder and empty it; when what follows fails, it is removed again. Raises Failure."""
    lock = stack.enter_context(locked(paths))
    if lock is None:
        lock = _take_over(paths, stack)
    if os.listdir(paths.root):
        cleanup.kill_processes(paths.root)
        with suppress(Exception):  # the kubeconfig with its context may be unreadable by now
            cleanup.forget_context(paths)
        cleanup.empty_folder(paths.root)
    stack.push(lambda kind, *_: cleanup.remove_files(paths) if kind is not None else None)
    paths.logs.mkdir(mode=0o700)
    return lock


def _take_over(paths: ClusterPaths, stack: ExitStack) -> int:
    """Somebody has the lock: a running cluster, or what is left of one that was killed."""
    if answers(paths):
        name = paths.root.name
        raise Failure(
            f"the cluster {name!r} is running already; see `panal status --name {name}`, end it with "
            f"`panal down --name {name}`, or start another one beside it with `panal up --name OTHER`."
        )
    cleanup.kill_processes(paths.root)
    paths.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = stack.enter_context(locked(paths, wait=True))
    assert lock is not None
    return lock


def _start(resolved: Resolved, paths: ClusterPaths, keeper: Keeper, lock: int) -> None:
    """Open the sockets, write the configuration, and give the keeper its word."""
    with ExitStack() as stack:
        config, edges = edge.open_all(resolved.config, stack)
        paths.config.write_bytes(dump(config))
        os.chmod(paths.config, 0o600)
        listeners = [stack.enter_context(listen(path)) for path in (paths.edge_socket, paths.steward_socket)]
        words = {"PANAL_NETWORK": config.network, **({} if resolved.low_ports else {"PANAL_LOW_PORTS": "shifted"})}
        keeper.go(config.network, words, [lock, *(one.fileno() for one in listeners)], edges)


def listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(os.fspath(path))
    os.chmod(path, 0o600)
    listener.listen(128)
    return listener


def _show_stages(paths: ClusterPaths, environ: Mapping[str, str]) -> tuple[Path, str]:
    """Print each stage as it passes, and merge the context once the API answers; where, and which. Raises Failure."""
    merged: tuple[Path, str] | None = None
    for event in follow(paths, {"do": "follow"}, None):
        if event.get("failed"):
            reason = f"{event['detail']}"
            end(paths)
            raise Failure(f"the cluster could not start: {reason}; correct that and run `panal up` again.")
        click.echo(f"{event['seconds']:6.2f} s {event['stage']:<26} {event['detail']}")
        if event["stage"] == API_ANSWERS:
            merged = _merge(paths, environ)
        if event.get("last"):
            return merged or _merge(paths, environ)
    log = paths.logs / "steward.log"
    words = log.read_text(errors="replace").strip().splitlines()[-5:] if log.exists() else []
    end(paths)
    told = " | ".join(words) or "it left no word"
    raise Failure(f"the steward ended before the cluster was usable ({told}); what it had made is removed.")


def _merge(paths: ClusterPaths, environ: Mapping[str, str]) -> tuple[Path, str]:
    """Where the context is now. The user's kubeconfig was writable a second ago; if not any more, it is said."""
    try:
        return merge_context(paths, environ)
    except Failure as failure:
        click.echo(f"panal: {failure}", err=True)
        return paths.kubeconfig, context_of(paths)


def _closing_words(config: ClusterConfig, target: Path, context: str) -> None:
    click.echo(f"\nThe cluster {config.name!r} is up: {len(config.nodes)} nodes, network {config.network}, ", nl=False)
    click.echo(f"proxy mode {config.proxy_mode}.")
    click.echo(f"  kubectl get nodes          context {context!r} of {target}")
    if config.load_balancer.frontends:
        front = f"port {config.load_balancer.frontends[0].port} of {config.load_balancer.name}, the load balancer"
        click.echo(f"  http://127.0.0.1:{config.http_port:<10}leads to {front}")
    if config.listen is not None:
        where = f"{config.listen.advertise}:{config.listen.api_port}"
        click.echo(f"  panal token create         tells how other machines join, at {where}")
    suffix = "" if config.name == "panal" else f" --name {config.name}"
    client = config.hosts[0].name if config.hosts else config.control_plane.name
    click.echo(f"  panal shell{suffix} {client}       a shell on that host of the company LAN")
    click.echo(f"  panal down{suffix}                 ends it all")
