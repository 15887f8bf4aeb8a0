"""`panal status`: what the steward says of its processes, and what the API server says of the nodes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from panal.config import ClusterConfig
from panal.paths import ClusterPaths

from .apiget import SECONDS as API_SECONDS
from .apiget import answer_of
from .failure import Failure
from .running import answers, ask, cluster, configuration, home, names, paths_of


def status(name: str | None, environ: Mapping[str, str]) -> None:
    """Print one cluster's state, or of each one when there are several and none is named. Raises Failure."""
    running = [other for other in names(environ) if answers(ClusterPaths.of(home(environ), other))]
    _tidy(environ, running)
    if name is None and len(running) > 1:
        chosen = [paths_of(other, environ) for other in running]
    else:
        chosen = [cluster(name, environ)]
    for index, paths in enumerate(chosen):
        if index:
            click.echo()
        _show(paths)


def _tidy(environ: Mapping[str, str], running: Sequence[str]) -> None:
    """A cluster whose keeper and steward were both killed is cleaned up by whoever sees it first."""
    from .down import end
    from .running import locked

    for name in names(environ):
        paths = ClusterPaths.of(home(environ), name)
        if name in running:
            continue
        with contextlib.suppress(OSError), locked(paths) as lock:
            dead = lock is not None or not answers(paths)
        if dead:
            click.echo(f"The cluster {name!r} had been killed; what it left is removed.", err=True)
            end(paths)


def _show(paths: ClusterPaths) -> None:
    config, state = configuration(paths), ask(paths, {"do": "status"})
    usable = "usable" if state.get("usable") else "starting"
    click.echo(f"cluster {config.name}: {usable}, network {config.network}, proxy mode {config.proxy_mode}")
    if config.joined is not None:
        click.echo(f"API server   {config.joined.server}, by way of {config.joined.endpoint}: another machine's")
    else:
        lan = f"https://{config.control_plane.address}:6443"
        click.echo(f"API server   https://127.0.0.1:{config.api_port}   (on the LAN {lan})")
    if config.http_port:
        click.echo(
            f"HTTP         http://127.0.0.1:{config.http_port}    "
            f"(to {config.load_balancer.name}, {config.load_balancer.address})"
        )
    click.echo(f"folder       {paths.root}\n")
    if config.joined is None:
        table(["NODE", "ADDRESS", "PODS", "STATUS"], _nodes(config, paths))
    else:
        node = config.nodes[0]
        table(["NODE", "ADDRESS", "PODS"], [[node.name, node.address, node.pod_cidr]])
    click.echo()
    pids = outer_pids(paths)
    rows = [
        [str(part["name"]), str(part["host"]), str(pids.get(part["pid"]) or "-"), str(part["restarts"]), _words(part)]
        for part in state["components"]
    ]
    table(["PROCESS", "HOST", "PID", "RESTARTS", "STATE"], rows)


def outer_pids(paths: ClusterPaths) -> dict[int, int]:
    """The machine's numbers of the cluster's processes, by their numbers in the cluster's PID namespace."""
    found: dict[int, int] = {}
    with contextlib.suppress(OSError, ValueError):
        steward = int((paths.root / "steward.pid").read_text())
        home = os.readlink(f"/proc/{steward}/ns/pid")
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{name}/ns/pid") == home:
                    found[_inner(name)] = int(name)
    return found


def _inner(pid: str) -> int:
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith("NSpid:"))
    return int(line.split()[-1])


def _words(part: Mapping[str, Any]) -> str:
    if part["done"]:
        return "done"
    if part["pid"] is not None:
        return "running"
    return f"starting again, ended with {part['lastExit']}"


def _nodes(config: ClusterConfig, paths: ClusterPaths) -> list[list[str]]:
    known = {node["metadata"]["name"]: node for node in from_api(paths, "/api/v1/nodes")}
    return [
        [
            node.name,
            node.address,
            (known.get(node.name) or {}).get("spec", {}).get("podCIDR") or node.pod_cidr,
            _ready(known.get(node.name)) + (", control plane" if node.control_plane else ""),
        ]
        for node in config.nodes
    ]


def _ready(node: Mapping[str, Any] | None) -> str:
    if node is None:
        return "unknown"
    conditions = {item["type"]: item["status"] for item in node.get("status", {}).get("conditions", ())}
    return "Ready" if conditions.get("Ready") == "True" else "NotReady"


def from_api(paths: ClusterPaths, path: str, *, seconds: float = API_SECONDS) -> list[dict[str, Any]]:
    """The items of a list, or nothing while the API server doesn't answer."""
    return list((answer_of(paths.kubeconfig, path, seconds) or {}).get("items") or ())


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """With rich's lines and colours on a terminal, in plain columns elsewhere."""
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from rich.console import Console
        from rich.table import Table

        table = Table(*headings, box=None, header_style="bold", pad_edge=False)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
        return
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    for row in [headings, *rows]:
        click.echo("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


__all__ = ["Failure", "status"]
