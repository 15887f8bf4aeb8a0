"""`panal rules NODE`: the node's forwarding table, as its kube-proxy says it is, and what each change does to it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from .failure import Failure
from .running import ANSWER_SECONDS, cluster, configuration, connect

LIMIT = 1 << 28
"""Bytes of a table that are read at most: a hundred thousand Services are some 30 MiB."""


class Wish(NamedTuple):
    """What the command line asks for."""

    nft: bool = False
    output: str = "text"
    watch: bool = False


def rules(name: str | None, node: str, wish: Wish, environ: Mapping[str, str]) -> None:
    """Print the table, a line a service port, or its changes until interrupted. Raises Failure."""
    if wish.nft and (wish.watch or wish.output == "json"):
        raise Failure("--nft is a form of its own; leave out --watch and -o json.")
    paths = cluster(name, environ)
    known = [one.name for one in configuration(paths).nodes]
    if node not in known:
        raise Failure(f"there is no node called {node!r}; the nodes are {', '.join(known)}.")
    place = paths.node(node).proxy_socket
    try:
        if wish.watch:
            _watch(place, wish.output)
        elif wish.nft:
            click.echo(_read(place, "nft").decode(), nl=False)
        else:
            _print(json.loads(_read(place, "json")), wish.output)
    except KeyboardInterrupt:
        return
    except (OSError, ValueError) as error:
        raise Failure(
            f"the kube-proxy of {node} does not answer ({error}); see `kubectl -n kube-system get pods -o wide`."
        ) from error


def _print(table: Any, output: str) -> None:
    shown = lines(table)
    if output == "json":
        del table["lines"]
        click.echo(json.dumps(table, indent=2))
    else:
        click.echo("\n".join(shown))


def lines(table: Any) -> list[str]:
    """What kube-proxy wants shown, if it is that."""
    found = table.get("lines") if isinstance(table, dict) else None
    if not isinstance(found, list):
        raise ValueError("its answer is no table")
    return [str(line) for line in found] or ["no Service has rules here yet"]


def _read(place: Path, request: str) -> bytes:
    raw = b""
    with connect(place, ANSWER_SECONDS) as connection:
        connection.sendall(f"{request}\n".encode())
        while len(raw) < LIMIT and (part := connection.recv(1 << 16)):
            raw += part
    return raw


def _watch(place: Path, output: str) -> None:
    """Until interrupted, through restarts of kube-proxy no further: its end is told."""
    for raw in _follow(place):
        change = json.loads(raw)
        if "op" not in change:
            if "error" in change:
                raise ValueError(change["error"])
            continue
        click.echo(raw.decode().strip() if output == "json" else told(change))
    raise ValueError("it went away")


def told(change: Mapping[str, Any]) -> str:
    """21:30:01.123  + 10.10.1.102:8080  (wp-service)  -> 10.10.0.71:80   (in 1.2 ms)"""
    when = float(change["time"])
    clock = time.strftime("%H:%M:%S", time.localtime(when)) + f".{int(when * 1000) % 1000:03d}"
    return f"{clock}  {change['text']}   (in {float(change['milliseconds']):.1f} ms)"


def _follow(place: Path) -> Iterator[bytes]:
    with connect(place, ANSWER_SECONDS) as connection, connection.makefile("rb") as stream:
        connection.sendall(b"watch\n")
        connection.settimeout(None)
        yield from stream
