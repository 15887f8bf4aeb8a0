"""`panal rules NODE`: the node's forwarding table, as its kube-proxy says it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from .failure import Failure
from .running import ANSWER_SECONDS, cluster, configuration, connect

LIMIT = 1 << 28
"""Bytes of a table that are read at most: a hundred thousand Services are some 30 MiB."""


def rules(name: str | None, node: str, environ: Mapping[str, str]) -> None:
    """Print a line a service port. Raises Failure."""
    paths = cluster(name, environ)
    known = [one.name for one in configuration(paths).nodes]
    if node not in known:
        raise Failure(f"there is no node called {node!r}; the nodes are {', '.join(known)}.")
    place = paths.node(node).proxy_socket
    raw = b""
    try:
        with connect(place, ANSWER_SECONDS) as connection:
            while len(raw) < LIMIT and (part := connection.recv(1 << 16)):
                raw += part
        shown = lines(json.loads(raw))
    except (OSError, ValueError) as error:
        raise Failure(
            f"the kube-proxy of {node} does not answer ({error}); see `kubectl -n kube-system get pods -o wide`."
        ) from error
    for line in shown:
        click.echo(line)


def lines(table: Any) -> list[str]:
    """What kube-proxy wants shown, if it is that."""
    found = table.get("lines") if isinstance(table, dict) else None
    if not isinstance(found, list):
        raise ValueError("its answer is no table")
    return [str(line) for line in found] or ["no Service has rules here yet"]
