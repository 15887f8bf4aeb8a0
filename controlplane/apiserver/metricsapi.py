"""metrics.k8s.io/v1beta1: what nodes and pods use now, for `kubectl top` and autoscalers.

Nothing of it is stored or collected beforehand: a request asks the kubelets (`/stats/summary`), all at once, and their
answers serve everybody who asks within a second. A node that does not answer in time is left out, as an aggregated
metrics server leaves out what it could not scrape. Shapes: k8s.io/metrics v1beta1.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import orjson

from panal.errors import MethodNotSupported, NotFound, StatusError
from panal.resources import NODES, PODS
from panal.tasks import spawn

from .answers import Answer, json
from .cache import Item
from .context import Parts
from .logs import Kubelets, address
from .negotiation import Form
from .reading import selection
from .request import Query, Target

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
API = f"{GROUP}/{VERSION}"
KINDS = {"nodes": "NodeMetrics", "pods": "PodMetrics"}
DISCOVERY: Mapping[str, Any] = {"name": GROUP, "versions": [VERSION], "preferred": VERSION}
RESOURCES: Sequence[Mapping[str, Any]] = tuple(
    {"name": plural, "singularName": "", "namespaced": plural == "pods", "kind": kind, "verbs": ["get", "list"]}
    for plural, kind in KINDS.items()
)

FRESH = 1.0
"""Seconds that a kubelet's answer is given to all who ask."""
PATIENCE = 3.0
"""Seconds for a kubelet's answer; it takes half of one for its first sample."""

Object = dict[str, Any]


async def serve(parts: Parts, target: Target, query: Query, form: Form) -> Answer:
    """The answer to a request for the group. Raises NotFound, MethodNotSupported, BadRequest."""
    kind = KINDS.get(target.resource)
    if target.version != VERSION or kind is None or target.subresource:
        raise NotFound("the server could not find the requested resource", details={})
    if target.verb not in ("get", "list"):
        raise MethodNotSupported("the server does not allow this method on the requested resource", details={})
    found = await (_pods if kind == "PodMetrics" else _nodes)(parts, target, query)
    if form.kind == "Table":
        return json(_table(found, form))
    if target.name:
        return json({"kind": kind, "apiVersion": API, **found[0]})
    return json({"kind": f"{kind}List", "apiVersion": API, "metadata": {}, "items": found})


def _chosen(parts: Parts, target: Target, query: Query) -> list[Item]:
    resource = PODS if target.resource == "pods" else NODES
    wanted = selection(target, query, lambda obj: {"metadata.name": obj["metadata"]["name"]})
    return parts.reader.current(resource, wanted)


async def _nodes(parts: Parts, target: Target, query: Query) -> list[Object]:
    items = _chosen(parts, target, query)
    told = await _summaries(parts, [item.decode()["metadata"]["name"] for item in items])
    found = [
        {"metadata": _metadata(item.decode(), use["cpu"]["time"]), **_moment(use), "usage": usage(use)}
        for item in items
        if (use := (told.get(item.decode()["metadata"]["name"]) or {}).get("node")) is not None
    ]
    return _some(found, target, target.name, "nodemetrics")


async def _pods(parts: Parts, target: Target, query: Query) -> list[Object]:
    pods = [item.decode() for item in _chosen(parts, target, query)]
    nodes = {str(pod["spec"]["nodeName"]) for pod in pods if pod["spec"].get("nodeName")}
    told = await _summaries(parts, sorted(nodes))
    used = {
        (node, entry["podRef"]["namespace"], entry["podRef"]["name"]): entry
        for node, summary in told.items()
        for entry in summary["pods"]
    }
    found = []
    for pod in pods:
        meta = pod["metadata"]
        use = used.get((pod["spec"].get("nodeName", ""), meta["namespace"], meta["name"]))
        if use is not None:
            each = [{"name": item["name"], "usage": usage(item)} for item in use["containers"]]
            found.append({"metadata": _metadata(pod, use["cpu"]["time"]), **_moment(use), "containers": each})
    return _some(found, target, f"{target.namespace}/{target.name}", "podmetrics")


def _some(found: list[Object], target: Target, name: str, kind: str) -> list[Object]:
    if target.name and not found:
        details = {"name": name, "group": GROUP, "kind": kind}
        raise NotFound(f'{kind}.{GROUP} "{name}" not found', details=details)
    return found


def _metadata(obj: Object, when: str) -> Object:
    meta = obj["metadata"]
    kept = {key: meta[key] for key in ("name", "namespace", "labels") if meta.get(key)}
    return {**kept, "creationTimestamp": when}


def _moment(use: Object) -> Object:
    return {"timestamp": use["cpu"]["time"], "window": "1s"}


def usage(use: Object) -> dict[str, str]:
    """A summary's figures as quantities, in the units of the metrics server."""
    cpu, memory = int(use["cpu"]["usageNanoCores"]), int(use["memory"]["workingSetBytes"])
    return {"cpu": f"{cpu}n" if cpu else "0", "memory": f"{-(-memory // 1024)}Ki" if memory else "0"}


async def _summaries(parts: Parts, nodes: Sequence[str]) -> dict[str, Object]:
    """The kubelets' summaries, by node, of those that answer."""
    asking = [_summary(parts, name) for name in nodes]
    answers = await asyncio.gather(*asking)
    return {name: answer for name, answer in zip(nodes, answers, strict=True) if answer is not None}


async def _summary(parts: Parts, node: str) -> Object | None:
    """One kubelet's; everybody who asks within a second awaits the same request."""
    kept, now = parts.kubelets.summaries, asyncio.get_running_loop().time()
    at, asked = kept.get(node, (0.0, None))
    if asked is None or asked.cancelled() or (asked.done() and now - at > FRESH):
        try:
            where = address(parts, node)
        except StatusError:
            return None
        asked = spawn(_ask(parts.kubelets, *where), name=f"usage of {node}")
        kept[node] = (now, asked)
    return await asyncio.shield(asked)


async def _ask(kubelets: Kubelets, host: str, port: int) -> Object | None:
    try:
        async with asyncio.timeout(PATIENCE):
            async with kubelets.session().get(f"https://{host}:{port}/stats/summary") as response:
                if response.status != 200:
                    return None
                found: Object = orjson.loads(await response.read())
                return found
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, ssl.SSLError):
        return None


_COLUMNS = (("Name", "string", "name"), ("cpu", "string", ""), ("memory", "string", ""), ("Window", "string", ""))


def _table(found: Sequence[Object], form: Form) -> Object:
    columns = [
        {"name": name, "type": kind, "format": format_, "description": "", "priority": 0}
        for name, kind, format_ in _COLUMNS
    ]
    rows = []
    for item in found:
        each = item.get("containers") or [item]
        cpu = sum(int(part["usage"]["cpu"].rstrip("n")) for part in each)
        memory = sum(int(part["usage"]["memory"].removesuffix("Ki")) for part in each)
        cells = [item["metadata"]["name"], f"{cpu}n", f"{memory}Ki", item["window"]]
        partial = {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{form.version}"}
        rows.append({"cells": cells, "object": {**partial, "metadata": item["metadata"]}})
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{form.version}",
        "metadata": {},
        "columnDefinitions": columns,
        "rows": rows,
    }
