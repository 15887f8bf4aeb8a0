"""What a new cluster has from the beginning: namespaces, roles, bindings, priorities, and default/kubernetes.

The objects are those of a real Kubernetes 1.36 (data/bootstrap-objects.json). What is there already is left alone.
All of them are written at once, so that the store commits them together.
"""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import orjson

from panal import resources
from panal.resources import Resource

from ..store import Mismatch, Store
from . import encoding, keys
from .clock import timestamp
from .context import Parts

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


async def run(parts: Parts, store: Store) -> None:
    """Write what is missing."""
    if missing_namespaces(parts):
        await _write_all(parts, store, _objects())


def missing_namespaces(parts: Parts) -> list[str]:
    """Of those that a cluster cannot do without: somebody deleted them, or nothing has been written yet."""
    shelf = parts.cache.shelf(keys.location(resources.NAMESPACES))
    return [name for name in SYSTEM_NAMESPACES if shelf.get("", name) is None]


async def write_namespaces(parts: Parts, store: Store) -> None:
    """Write those of them that are missing."""
    if missing := missing_namespaces(parts):
        found = [(resource, obj) for resource, obj in _objects() if resource is resources.NAMESPACES]
        await _write_all(parts, store, [each for each in found if each[1]["metadata"]["name"] in missing])


async def _write_all(parts: Parts, store: Store, objects: list[tuple[Resource, dict[str, Any]]]) -> None:
    now = timestamp(parts.now())
    written = await asyncio.gather(*(_write(parts, store, resource, obj, now) for resource, obj in objects))
    await parts.cache.reached(max(written, default=0))


def _objects() -> list[tuple[Resource, dict[str, Any]]]:
    recorded = orjson.loads((Path(__file__).parent / "data" / "bootstrap-objects.json").read_bytes())["objects"]
    return [(resources.resource(plural), obj) for plural, found in recorded.items() for obj in found]


async def _write(parts: Parts, store: Store, resource: Resource, obj: dict[str, Any], now: str) -> int:
    metadata = {
        **obj["metadata"],
        "uid": str(uuid.UUID(int=parts.rng.getrandbits(128), version=4)),
        "creationTimestamp": now,
    }
    if resource.plural in ("flowschemas", "prioritylevelconfigurations", "priorityclasses"):
        metadata["generation"] = 1
    complete = {"kind": resource.kind, "apiVersion": resource.api_version, **obj, "metadata": metadata}
    if resource.plural == "namespaces":
        complete["status"] = {"phase": "Active"}
    key = keys.location(resource).key(metadata.get("namespace", ""), metadata["name"])
    try:
        return await store.append(key, encoding.encode(complete), expect=0)
    except Mismatch as mismatch:
        return mismatch.actual
