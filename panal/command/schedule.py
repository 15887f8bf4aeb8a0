"""`panal schedule --explain POD`: every node's filters and scores for a pod, as the scheduler's own plugins answer.

The plugins run in a program of their own (named here, not imported: this package knows no part), fed with what the API
says. `lines` is pure; the rest asks and prints.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from .failure import Failure
from .running import cluster
from .status import from_api

PROGRAM = "panal.controlplane.scheduler.explain"
SECONDS = 60.0
"""How long it may think: thousands of nodes take some seconds."""
NO_SUCH_POD = 3

HEADINGS = ("NODE / PLUGIN", "ANSWER", "WHY")

Document = Mapping[str, Any]


def schedule(name: str | None, namespace: str, pod: str, output: str, environ: Mapping[str, str]) -> None:
    """Print the explanation. Raises Failure."""
    paths = cluster(name, environ)
    nodes = from_api(paths, "/api/v1/nodes")
    if not nodes:
        raise Failure("the API server does not answer.")
    asked = {
        "namespace": namespace,
        "name": pod,
        "nodes": nodes,
        "pods": from_api(paths, "/api/v1/pods"),
        "namespaces": from_api(paths, "/api/v1/namespaces"),
        "budgets": from_api(paths, "/apis/policy/v1/poddisruptionbudgets"),
        "claims": from_api(paths, "/api/v1/persistentvolumeclaims"),
        "volumes": from_api(paths, "/api/v1/persistentvolumes"),
        "classes": from_api(paths, "/apis/storage.k8s.io/v1/storageclasses"),
    }
    found = answer(asked)
    if output == "json":
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(heading(found))
    _print(lines(found))
    click.echo(conclusion(found))


def answer(asked: Document) -> Document:
    """What the program says to a question. Raises Failure."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", PROGRAM], input=json.dumps(asked).encode(), capture_output=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise Failure(f"the plugins gave no answer within {SECONDS:.0f} s.") from error
    if done.returncode == NO_SUCH_POD:
        raise Failure(f"there is no pod called {asked['name']!r} in namespace {asked['namespace']!r}.")
    if done.returncode:
        raise Failure(f"the plugins failed: {done.stderr.decode(errors='replace').strip().splitlines()[-1:]}")
    found: Document = json.loads(done.stdout)
    return found


def heading(found: Document) -> str:
    pod = found["pod"]
    where = f"is on {pod['node']}" if pod["node"] else "has no node"
    return f"{pod['namespace']}/{pod['name']} {where}.\n"


def conclusion(found: Document) -> str:
    """One sentence: who wins, or what kube-scheduler says."""
    if found["gates"]:
        return f"It is not tried before its scheduling gates are gone: {', '.join(found['gates'])}."
    if found["message"] is None:
        most = max(node["total"] for node in found["nodes"] if node["feasible"])
        several = "; one of them is drawn" if len(found["best"]) > 1 else ""
        return f"Best now: {', '.join(found['best'])} with {most} points{several}."
    pushed = found["preemption"]
    tail = f"\nIt pushes out {', '.join(pushed['victims'])} on {pushed['node']}." if pushed else ""
    return f"{found['message']}{tail}"


def lines(found: Document) -> list[tuple[str, str, str]]:
    """Each node, its filters, and the scores of one that passes them all."""
    rows: list[tuple[str, str, str]] = []
    for node in found["nodes"]:
        rows.append((node["name"], f"{node['total']} points" if node["feasible"] else "refused", ""))
        for item in node["filters"]:
            rows += _filter_rows(item)
        for item in node["scores"]:
            sum_ = f"{item['score']} x {item['weight']} = {item['points']}"
            rows.append((f"  score {item['name']}", f"{item['points']}", sum_))
    return rows


def _filter_rows(item: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    name = f"  filter {item['name']}"
    said = [*item["reasons"], *item["facts"]]
    if not item["asked"]:
        return [(name, "-", "")]
    verdict = "passes" if item["passes"] else "refuses"
    return [(name, verdict, said[0] if said else ""), *(("", "", more) for more in said[1:])]


def _print(rows: Sequence[tuple[str, str, str]]) -> None:
    if not sys.stdout.isatty():
        widths = [max(len(row[column]) for row in [HEADINGS, *rows]) for column in (0, 1)]
        for first, second, third in [HEADINGS, *rows]:
            click.echo(f"{first:<{widths[0]}}  {second:<{widths[1]}}  {third}".rstrip())
        return
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for heading_ in HEADINGS:
        shown.add_column(heading_)
    for cells in rows:
        style = "red" if cells[1] in ("refuses", "refused") else "bold" if not cells[0].startswith(" ") else None
        shown.add_row(*(escape(cell) for cell in cells), style=style)
    Console().print(shown)
