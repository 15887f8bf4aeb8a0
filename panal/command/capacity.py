"""`panal capacity`: node by node what there is, what is committed to pods, what is left, and what is used.

Committed are the requests of the pods that have not ended, as the scheduler counts them; used is what the processes
take now (metrics.k8s.io). `tabulate` is pure; the rest fetches and prints.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

from panal import quantity
from panal.podresources import effective

from .failure import Failure
from .running import cluster
from .status import from_api, table

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Amount:
    """CPU in thousandths of a core, memory in bytes."""

    cpu: int = 0
    memory: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.cpu + other.cpu, self.memory + other.memory)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.cpu - other.cpu, self.memory - other.memory)


@dataclass(frozen=True)
class PodRow:
    namespace: str
    name: str
    committed: Amount
    limits: Amount
    used: Amount | None


@dataclass(frozen=True)
class NodeRow:
    name: str
    ready: bool
    capacity: Amount
    committed: Amount
    used: Amount | None
    """None where the node does not tell."""
    pods: Sequence[PodRow]

    @property
    def uncommitted(self) -> Amount:
        return self.capacity - self.committed


def tabulate(
    nodes: Iterable[Object], pods: Iterable[Object], node_metrics: Iterable[Object], pod_metrics: Iterable[Object]
) -> list[NodeRow]:
    """The nodes in their order of names, each with its pods."""
    of_node = {item["metadata"]["name"]: _usage(item["usage"]) for item in node_metrics}
    of_pod = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): sum(
            (_usage(part["usage"]) for part in item["containers"]), Amount()
        )
        for item in pod_metrics
    }
    rows: dict[str, list[PodRow]] = {}
    for pod in sorted(pods, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"])):
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed") or not pod["spec"].get("nodeName"):
            continue
        meta = pod["metadata"]
        committed = Amount(effective(pod, "requests", "cpu"), effective(pod, "requests", "memory"))
        limits = Amount(effective(pod, "limits", "cpu"), effective(pod, "limits", "memory"))
        used = of_pod.get((meta["namespace"], meta["name"]))
        rows.setdefault(pod["spec"]["nodeName"], []).append(
            PodRow(meta["namespace"], meta["name"], committed, limits, used)
        )
    return [_node(node, rows.get(node["metadata"]["name"], []), of_node) for node in sorted(nodes, key=_name)]


def _name(node: Object) -> str:
    return str(node["metadata"]["name"])


def _node(node: Object, pods: Sequence[PodRow], used: Mapping[str, Amount]) -> NodeRow:
    status = node.get("status") or {}
    conditions = {item["type"]: item["status"] for item in status.get("conditions") or ()}
    return NodeRow(
        name=_name(node),
        ready=conditions.get("Ready") == "True",
        capacity=_usage(status.get("allocatable") or status.get("capacity") or {}),
        committed=sum((pod.committed for pod in pods), Amount()),
        used=used.get(_name(node)),
        pods=pods,
    )


def _usage(amounts: Mapping[str, Any]) -> Amount:
    return Amount(quantity.milli(amounts.get("cpu", 0)), quantity.whole(amounts.get("memory", 0)))


def document(rows: Sequence[NodeRow]) -> dict[str, Any]:
    """As JSON: cpu in thousandths of a core, memory in bytes."""
    return {"nodes": [{**asdict(row), "uncommitted": asdict(row.uncommitted)} for row in rows]}


HEADINGS = (
    "NODE / POD", "CPU", "COMMITTED", "UNCOMMITTED", "USED", "MEMORY", "COMMITTED", "UNCOMMITTED", "USED",
)  # fmt: skip


def lines(rows: Sequence[NodeRow]) -> list[list[str]]:
    """The cells: each node, its pods below it, and the whole cluster at the end."""
    found = []
    for row in rows:
        name = row.name if row.ready else f"{row.name} (NotReady)"
        found.append([name, *_cells(row.capacity, row.committed, row.used)])
        found += [[f"  {pod.namespace}/{pod.name}", *_cells(None, pod.committed, pod.used)] for pod in row.pods]
    capacity = sum((row.capacity for row in rows), Amount())
    committed = sum((row.committed for row in rows), Amount())
    used = sum((row.used for row in rows if row.used is not None), Amount())
    return [*found, ["all nodes", *_cells(capacity, committed, used)]]


def _cells(capacity: Amount | None, committed: Amount, used: Amount | None) -> list[str]:
    left = capacity - committed if capacity is not None else None
    parts = (capacity, committed, left, used)
    return [*(_cpu(part) for part in parts), *(_memory(part) for part in parts)]


def _cpu(amount: Amount | None) -> str:
    return "" if amount is None else f"{amount.cpu}m"


def _memory(amount: Amount | None) -> str:
    return "" if amount is None else f"{amount.memory / 2**20:.0f}Mi"


def capacity(name: str | None, output: str, environ: Mapping[str, str]) -> None:
    """Print the table. Raises Failure."""
    paths = cluster(name, environ)
    nodes = from_api(paths, "/api/v1/nodes")
    if not nodes:
        raise Failure("the API server does not answer.")
    rows = tabulate(
        nodes,
        from_api(paths, "/api/v1/pods"),
        from_api(paths, "/apis/metrics.k8s.io/v1beta1/nodes", seconds=10.0),
        from_api(paths, "/apis/metrics.k8s.io/v1beta1/pods", seconds=10.0),
    )
    if output == "json":
        import orjson

        click.echo(orjson.dumps(document(rows), option=orjson.OPT_INDENT_2))
    elif sys.stdout.isatty():
        _rich(rows)
    else:
        table(HEADINGS, lines(rows))


def _rich(rows: Sequence[NodeRow]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for index, heading in enumerate(HEADINGS):
        shown.add_column(heading, justify="left" if index == 0 else "right", no_wrap=index > 0)
    for cells in lines(rows):
        shown.add_row(*cells, style=None if cells[0].startswith("  ") else "bold")
    Console().print(shown)
